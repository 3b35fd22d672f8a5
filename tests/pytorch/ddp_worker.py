"""One rank of a short training with the hook: ``ddp_worker.py MODE RANK WORLD FOLDER``.

MODE: ``train``; or what rank 1 does in step 3: ``dead`` leaves at once, ``stuck`` sleeps, ``nan``
has a gradient that is not finite. Writes ``RANK.json``.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

STEPS = 12
TIMEOUT = 4.0
SPARSITY = 1.5
RATE = 0.4


def network():
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32), torch.nn.ReLU(),
        torch.nn.Linear(32, 4),
    )  # fmt: skip


def batch(rank):
    generator = torch.Generator().manual_seed(rank)
    x = torch.randn(64, 20, generator=generator)
    return x, x[:, :4].argmax(1)


def digest(module):
    data = b"".join(p.detach().numpy().tobytes() for p in module.parameters())
    return hashlib.sha256(data).hexdigest()


def main(mode, rank, world, folder):
    from qcodec.torch import ThreeLCState, three_lc_hook

    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    net = network()
    # Buckets of a few kB, so that there are several, cut anew after the first step.
    ddp = torch.nn.parallel.DistributedDataParallel(net, bucket_cap_mb=0.008)
    state = ThreeLCState(sparsity=SPARSITY, timeout=TIMEOUT)
    ddp.register_comm_hook(state, three_lc_hook)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=RATE, momentum=0.9)
    x, y = batch(rank)
    report = {"digests": [], "losses": []}
    began = time.monotonic()
    try:
        for step in range(STEPS):
            if rank == 1 and step == 3 and mode == "dead":
                os._exit(9)
            if rank == 1 and step == 3 and mode == "stuck":
                time.sleep(600)
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(ddp(x), y)
            if rank == 1 and step == 3 and mode == "nan":
                loss = loss * float("nan")
            began = time.monotonic()
            loss.backward()
            optimizer.step()
            report["digests"].append(digest(net))
            report["losses"].append(loss.item())
    except Exception as error:
        report["error"] = [type(error).__name__, str(error), time.monotonic() - began]
    s = state.statistics
    report["statistics"] = [s.buckets, s.values, s.message_bytes, s.raw_bytes, s.bits_per_value]
    report["break_even"] = s.break_even_bits_per_second
    report["residuals"] = sorted(state.state_dict(net)["residuals"])
    (Path(folder) / f"{rank}.json").write_text(json.dumps(report))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
