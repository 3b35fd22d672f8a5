"""LeNet-300-100 around the errors of bloomier: means, frontier, tables, zeros that stay."""

import dataclasses

import pytest
from bloomier_lenet_report import Row, frontier, points_of, read_csv, write_csv, write_report


def row(file, after, seed=0, **columns):
    return Row(seed=seed, density=0.02, coder="rans", file=file, after=after, k=4, **columns)


def test_seeds_are_one_point():
    (point,) = points_of([row(100, 2.0), row(102, 2.3, seed=1), row(104, 2.9, seed=2)])
    assert point.mean("file") == 102
    assert point.mean("after") == pytest.approx(2.4)
    assert point.spread == (2.0, 2.9)


def test_other_bits_are_another_point():
    assert len(points_of([row(100, 2.0, bits=5), row(120, 1.9, bits=6)])) == 2


def test_frontier_leaves_out_what_a_smaller_file_equals():
    points = points_of(
        row(size, error, bits=bits)
        for bits, (size, error) in enumerate([(300, 1.8), (200, 2.0), (100, 4.0), (250, 2.0)])
    )
    assert [point.mean("file") for point in frontier(points)] == [100, 200, 300]


def test_csv_comes_back(tmp_path):
    rows = [row(100, 2.25, fc1=50, wrong1=0.5), dataclasses.replace(row(9, 1.5), k=None)]
    assert list(write_csv(tmp_path / "x.csv", "machine, commit", rows)) == rows
    assert read_csv(tmp_path / "x.csv") == ("machine, commit", rows)


def test_table_names_the_smallest_file_that_is_good_enough(tmp_path):
    sizes = {"fc1": 60, "fc2": 20, "fc3": 10, "before": 9.0}
    dense = Row(seed=0, density=1.0, coder="float32", file=1_066_440, after=1.6)
    rows = [dense, row(1000, 1.95, **sizes), row(1200, 1.95, seed=1, **sizes)]
    rows += [dataclasses.replace(row(2000, 1.85, **sizes), density=0.04)]
    write_report("machine", rows, tmp_path / "x")
    text = (tmp_path / "x.md").read_text()
    assert "| 1.8 % |  |\n" in text
    assert "| 1.9 % | 2,000 (4 %, k=4) |\n" in text
    assert "| 2 % | 1,100 (2 %, k=4) |\n" in text
    assert (tmp_path / "x.png").stat().st_size > 0


def test_pruned_weights_stay_zero_while_others_train():
    torch = pytest.importorskip("torch")
    from bloomier_lenet import fit, keep_zeros

    weight = torch.tensor([[0.0, 2.0]], requires_grad=True)
    inputs, labels = torch.ones(128, 2), torch.zeros(128, dtype=torch.long)
    scores = torch.tensor([[1.0], [-1.0]])

    def score(batch):
        return (batch @ weight.T) @ scores.T

    fit(score, [weight], inputs, labels, 1, 0, keep_zeros([weight]))
    # One step of Adam at 0.002, towards label 0: up.
    assert weight.detach().tolist() == [[0.0, pytest.approx(2.002, abs=1e-5)]]


def test_pruning_ends_at_the_density_and_keeps_the_largest():
    torch = pytest.importorskip("torch")
    from bloomier_lenet import prune

    net = torch.nn.Sequential(torch.nn.Linear(8, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.arange(-7.75, 8).view(2, 8))
    prune(net, [0.25], torch.zeros(256, 8), torch.zeros(256, dtype=torch.long), 0)
    # Inputs of zero leave weights as they were; a quarter of 16, the largest in magnitude.
    assert sorted(net[0].weight[net[0].weight != 0].tolist()) == [-7.75, -6.75, 6.25, 7.25]
