"""Rate-distortion benchmark: plots."""

import pytest
from rd_peers import nncodec
from rd_plot import NNCODEC_MARKERS, plot_all, spread
from rd_run import Row


def test_labels_with_room_stay_where_they_are():
    assert spread([0.0, 2.0, 5.0], 1.0, 6.0) == [0, 2, 5]


def test_labels_too_close_are_pushed_up():
    assert spread([0.0, 0.1, 0.2], 1.0, 6.0) == [0, 1, 2]


def test_labels_pushed_beyond_the_top_move_down_together():
    assert spread([0.0, 5.5, 5.8, 5.9], 1.0, 6.0) == [0, 4, 5, 6]


@pytest.mark.parametrize("model", ["resnet20", "resnet32", "minilm"])
def test_series_of_nncodec_have_their_markers(model):
    assert {point.series for point in nncodec(model)} <= set(NNCODEC_MARKERS)


@pytest.mark.parametrize("top1", [None, 90.0])
def test_one_small_image_for_each_source(tmp_path, top1):
    rows = [
        Row(source, family, "codec", bits, int(bits * 1000), 6 * bits - 2, 2.0, top1, None, None)
        for source in ("gaussian", "resnet20")
        for family in ("uniform", "other", "float32")
        for bits in (1.0, 2.0, 4.0)
    ]
    plot_all(rows, tmp_path / "run")
    images = sorted(tmp_path.iterdir())
    assert [path.name for path in images] == ["run-gaussian.png", "run-resnet20.png"]
    assert all(path.stat().st_size < 200_000 for path in images)
