"""The hook between real processes over loopback, each a rank with gloo."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[torch]'")
if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("this build of torch has no gloo", allow_module_level=True)

from pytorch import ddp_worker  # noqa: E402

import qcodec  # noqa: E402
from qcodec.traffic import ThreeLC  # noqa: E402

ROOT = Path(qcodec.__file__).parents[1]
PATIENCE = 120


def run(mode, world, folder):
    """Reports of the ranks that end by themselves, and seconds after which rank 0 ended."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    ranks = [
        subprocess.Popen(
            [sys.executable, ddp_worker.__file__, mode, str(rank), str(world), str(folder)],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        output, _ = ranks[0].communicate(timeout=PATIENCE)
        assert ranks[0].returncode == 0, output
        if mode in ("train", "nan"):
            for rank in ranks[1:]:
                rank.communicate(timeout=PATIENCE)
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()
    return {
        rank: json.loads(path.read_text())
        for rank in range(world)
        if (path := Path(folder) / f"{rank}.json").exists()
    }


def simulated(world):
    """The same training in one process: a network, and a context for each rank and parameter."""
    net = ddp_worker.network()
    parameters = list(net.parameters())
    optimizer = torch.optim.SGD(parameters, lr=ddp_worker.RATE, momentum=0.9)
    contexts = [
        [ThreeLC(tuple(p.shape), ddp_worker.SPARSITY) for p in parameters] for _ in range(world)
    ]
    batches = [ddp_worker.batch(rank) for rank in range(world)]
    digests, sent = [], 0
    for _ in range(ddp_worker.STEPS):
        total = [np.zeros(tuple(p.shape), np.float32) for p in parameters]
        for rank, (x, y) in enumerate(batches):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()
            for context, p, sums in zip(contexts[rank], parameters, total, strict=True):
                message = context.encode(p.grad.numpy())
                # The hook's contexts are flat: a length in place of the two dims of a matrix.
                flat = ThreeLC(p.numel())
                sent += (len(message) - context.max_bytes + flat.max_bytes) * (rank == 0)
                sums += ThreeLC.decode(message)
        for p, sums in zip(parameters, total, strict=True):
            p.grad = torch.from_numpy(sums / np.float32(world))
        optimizer.step()
        digests.append(ddp_worker.digest(net))
    return digests, sent


def test_ranks_are_equal_after_each_step_and_follow_the_training_in_one_process(tmp_path):
    world = 3  # the order of adding matters from three on
    torch.set_num_threads(1)
    reports = run("train", world, tmp_path)
    assert sorted(reports) == list(range(world))
    digests, sent = simulated(world)
    values = sum(p.numel() for p in ddp_worker.network().parameters()) * ddp_worker.STEPS
    for report in reports.values():
        assert "error" not in report
        assert report["digests"] == reports[0]["digests"] == digests
        assert report["losses"][-1] < 0.75 * report["losses"][0]
        assert report["statistics"][0] > ddp_worker.STEPS  # several buckets
        assert report["statistics"][1] == values
        assert report["statistics"][3] == 4 * values
        assert 0.2 < report["statistics"][4] < 2
        assert report["break_even"] > 0
        assert len(report["residuals"]) == 6
    assert reports[0]["statistics"][2] == sent


@pytest.mark.parametrize("mode", ["dead", "stuck"])
def test_rank_that_is_lost_is_a_clear_error_within_the_timeout(tmp_path, mode):
    began = time.monotonic()
    report = run(mode, 2, tmp_path)[0]
    name, text, seconds = report["error"]
    assert len(report["digests"]) == 3
    assert "3LC, bucket 0: rank 0 of 2 has lost the others" in text
    assert "dead, stuck or out of step" in text
    assert name == "ExchangeError"
    assert seconds < ddp_worker.TIMEOUT + 2
    assert time.monotonic() - began < PATIENCE


def test_gradient_that_is_not_finite_is_the_same_error_on_all_ranks(tmp_path):
    reports = run("nan", 2, tmp_path)
    assert sorted(reports) == [0, 1]
    for report in reports.values():
        assert "rank 1 has no finite gradient" in report["error"][1]
        assert len(report["digests"]) == 3
