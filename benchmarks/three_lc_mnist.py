"""LeNet-300-100 on MNIST, data-parallel over loopback: uncompressed beside 3LC.

Several gloo processes train with DistributedDataParallel, once with its own all-reduce and once
for each sparsity with the hook. Printed are accuracy, bits per state change, and the link speed
below which 3LC pays. After each step all ranks hash their parameters; a difference ends the run.
``--simulate`` runs the same training in one process with a context for each rank.

    python benchmarks/three_lc_mnist.py --ranks 2 --epochs 5
"""

import argparse
import math
import multiprocessing
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from lenet300 import accuracy, lenet, mnist

from qcodec import _core

BATCH = 128  # of all ranks together
PUBLISHED = {1.0: 0.812, 1.5: 0.451, 1.75: 0.298, 1.9: 0.200}  # ResNet-110 on CIFAR-10


def fingerprint(net: Any, before: int) -> int:
    """A hash of all parameters and of those of the steps before."""
    value = before
    for p in net.parameters():
        value = _core.xxh3_64(p.detach().numpy().reshape(-1).view(np.uint8), value)
    return value


def rank_main(rank: int, args: argparse.Namespace, sparsity: float | None, queue: Any) -> None:
    """One rank, or with ``--simulate`` all of them."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    images, labels, test_images, test_labels = mnist()
    net = lenet()
    model, state, exchange = net, None, None
    if args.simulate:
        exchange = simulated_exchange(net, args.ranks, sparsity)
    else:
        dist.init_process_group(
            "gloo", init_method=f"file://{args.store}", rank=rank, world_size=args.ranks
        )
        model = torch.nn.parallel.DistributedDataParallel(net)
        if sparsity is not None:
            from qcodec.torch import ThreeLCState, three_lc_hook

            state = ThreeLCState(sparsity=sparsity, timeout=120.0)
            model.register_comm_hook(state, three_lc_hook)
    optimizer = torch.optim.SGD(net.parameters(), lr=args.lr, momentum=args.momentum)
    steps = len(images) // BATCH
    total = args.epochs * steps
    optimizer_lr = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: 0.01 + 0.99 * (1 + math.cos(math.pi * k / total)) / 2
    )
    hashed, curve, counted, began = 0, [], (0, 0), time.perf_counter()
    mine = range(args.ranks) if args.simulate else [rank]
    for epoch in range(args.epochs):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(epoch))
        for step in range(steps):
            batch = order[step * BATCH : (step + 1) * BATCH]
            for r in mine:
                part = batch[r :: args.ranks]
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(images[part]), labels[part]).backward()
                if exchange is not None:
                    exchange.add(r)
            if exchange is not None:
                exchange.finish()
            optimizer.step()
            optimizer_lr.step()
            hashed = fingerprint(net, hashed)
            if not args.simulate:
                check_equal(hashed, args.ranks)
        source = state.statistics if state is not None else exchange
        if source is not None and sparsity is not None:
            now = (source.message_bytes, source.values)
            curve.append(8 * (now[0] - counted[0]) / (now[1] - counted[1]))
            counted = now
    seconds = time.perf_counter() - began
    if rank == 0:
        statistics = state.statistics if state is not None else None
        queue.put((accuracy(net, test_images, test_labels), curve, statistics, seconds / total))
    if not args.simulate:
        dist.barrier()
        dist.destroy_process_group()


def check_equal(hashed: int, ranks: int) -> None:
    """End the run where ranks differ."""
    import torch
    import torch.distributed as dist

    all_hashes = [torch.empty(1, dtype=torch.int64) for _ in range(ranks)]
    dist.all_gather(all_hashes, torch.tensor([hashed >> 1]))
    if len({int(h) for h in all_hashes}) > 1:
        raise SystemExit("ranks differ")


class simulated_exchange:  # noqa: N801
    """What the hook does, between ranks that take turns in one process."""

    def __init__(self, net: Any, ranks: int, sparsity: float | None) -> None:
        from qcodec.traffic import ThreeLC

        self.parameters, self.ranks = list(net.parameters()), ranks
        self.contexts = [
            [sparsity and ThreeLC(tuple(p.shape), sparsity) for p in self.parameters]
            for _ in range(ranks)
        ]
        self.message_bytes = self.values = 0
        self.total: list[Any] = [0.0 for _ in self.parameters]

    def add(self, rank: int) -> None:
        for k, p in enumerate(self.parameters):
            context, gradient = self.contexts[rank][k], p.grad.numpy().copy()
            if context:
                message = context.encode(gradient)
                gradient = context.decode(message)
                self.message_bytes += len(message)
                self.values += gradient.size
            self.total[k] = self.total[k] + gradient

    def finish(self) -> None:
        import torch

        for k, p in enumerate(self.parameters):
            p.grad = torch.from_numpy(self.total[k] / np.float32(self.ranks))
            self.total[k] = 0.0


def train(args: argparse.Namespace, sparsity: float | None) -> Any:
    """The report of rank 0."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        args.store = str(Path(folder) / "store")
        ranks = range(1 if args.simulate else args.ranks)
        processes = [
            context.Process(target=rank_main, args=(r, args, sparsity, queue)) for r in ranks
        ]
        for p in processes:
            p.start()
        while queue.empty() and all(p.exitcode in (None, 0) for p in processes):
            time.sleep(0.1)
        if queue.empty():
            for p in processes:
                p.kill()
            raise SystemExit("a rank has failed")
        report = queue.get()
        for p in processes:
            p.join()
    return report


def main() -> None:
    """Train with every setting and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--sparsity", type=float, nargs="*", default=[1.0, 1.5, 1.75, 1.9])
    parser.add_argument("--simulate", action="store_true", help="all ranks in one process")
    args = parser.parse_args()
    mnist()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    how = "one process" if args.simulate else "gloo over loopback"
    print(f"{args.ranks} ranks, {how}, {args.epochs} epochs, {_core.isa()}, {platform.machine()}\n")
    print("| | accuracy % | difference | bits / state change | by epoch | ratio ", end="")
    print("| published bits | break-even link, Mbit/s | codec ms/step | ms/step |")
    print("|---|---:|---:|---:|---|---:|---:|---:|---:|---:|")
    base = 0.0
    for s in (None, *args.sparsity):
        top1, curve, statistics, step = train(args, s)
        if s is None:
            base = top1
            row = f"| uncompressed | {top1:.2f} | | 32 | | 1 | | | | {1e3 * step:.1f} |"
            print(row, flush=True)
            continue
        bits = sum(curve) / len(curve)
        link = codec = "-"
        if statistics is not None:
            link = f"{statistics.break_even_bits_per_second / 1e6:.0f}"
            codec = f"{1e3 * statistics.codec_seconds / statistics.buckets:.2f}"
        by_epoch = " ".join(f"{b:.3f}" for b in curve)
        print(
            f"| s = {s:g} | {top1:.2f} | {top1 - base:+.2f} | {bits:.3f} | {by_epoch} "
            f"| {32 / bits:.0f} | {PUBLISHED.get(s, '')} | {link} | {codec} | {1e3 * step:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
