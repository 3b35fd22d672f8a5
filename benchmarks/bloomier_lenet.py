"""LeNet-300-100 coded by ``bloomier`` and retrained around its errors, beside exact coders.

For each seed a network is trained on MNIST and pruned by magnitude, further and further. Each
pruned network is coded layer by layer: fc1 is coded and stays as it decodes, biases and later
layers are retrained with their zeros kept, then fc2, then fc3. ``bloomier`` codes fc1, or fc1 and
fc2, and rans the others. Exact coders share one run. Schedules are fixed; test images decide
nothing.

    python benchmarks/bloomier_lenet.py --out benchmarks/results/DATE-bloomier-lenet
    python benchmarks/bloomier_lenet.py --read --out benchmarks/results/DATE-bloomier-lenet

The first writes a CSV, a table and a plot, the second the last two from the CSV.
"""

import argparse
import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deep_compression
import numpy as np
from bloomier_lenet_report import Row, read_csv, write_csv, write_report
from data import entropy
from lenet300 import accuracy, lenet, mnist
from rd_report import provenance

import qcodec

FC1_DENSITIES = (0.08, 0.04, 0.02, 0.01)  # falling: each network is pruned from the one before
FC2_DENSITY, FC3_DENSITY = 0.08, 0.26
VALUES_OF_FC3 = 16
# Codebook entries with zero, and bits that name the others; `bits` are 1 .. 8 more.
VALUE_BITS = {3: 1, 4: 2, 16: 4}
MORE_BITS = range(1, 9)
GAP_BITS = 5  # of the paper, for fully connected layers
DENSE_EPOCHS, PRUNE_EPOCHS, RETRAIN_EPOCHS = 15, 10, 4
RAMP = 0.6  # part of the pruning epochs in which the density falls
BATCH, RATE = 128, 2e-3

Hook = Callable[[float], None]


def fit(
    score: Callable[[Any], Any], parameters: Sequence[Any], inputs: Any, labels: Any,
    epochs: int, seed: int, after_step: Hook | None = None,
) -> None:  # fmt: skip
    """Adam with a cosine schedule; `after_step` is told which part of the steps is done."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    steps = epochs * (len(inputs) // BATCH)
    optimizer = torch.optim.Adam(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    done = 0
    for _ in range(epochs):
        order = torch.randperm(len(inputs), generator=generator)
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(score(inputs[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
            done += 1
            if after_step is not None:
                after_step(done / steps)


def weights_of(net: Any, first: int = 0) -> list[Any]:
    """Weight matrices from layer `first`, 0 .. 2, on."""
    return [layer.weight for layer in net[2 * first :: 2]]


def keep_zeros(weights: Sequence[Any]) -> Hook:
    """A hook that puts zeros back to where they are now."""
    masks = [(w != 0).float() for w in weights]

    def hook(_: float) -> None:
        for w, mask in zip(weights, masks, strict=True):
            w.data.mul_(mask)

    return hook


def prune(net: Any, densities: Sequence[float], images: Any, labels: Any, seed: int) -> None:
    """Train on while the smallest weights of each layer become zero, to these densities."""
    import torch

    weights = weights_of(net)
    begin = [float((w != 0).float().mean()) for w in weights]

    def hook(done: float) -> None:
        left = max(0.0, 1 - done / RAMP) ** 3
        for w, high, low in zip(weights, begin, densities, strict=True):
            kept = round(w.numel() * (low + (high - low) * left))
            places = torch.topk(w.data.abs().view(-1), kept, sorted=False).indices
            mask = torch.zeros(w.numel()).index_fill_(0, places, 1)
            w.data.mul_(mask.view_as(w))

    fit(net, list(net.parameters()), images, labels, PRUNE_EPOCHS, seed, hook)


def decoded(weight: Any, codec: str) -> tuple[Any, int, int]:
    """The weights as they decode, bytes of the blob, and how many symbols are wrong."""
    import torch

    blob, errors = qcodec.encode(weight.detach().numpy(), codec, return_errors=True)
    return torch.from_numpy(qcodec.decode(blob)), len(blob), errors.size


@dataclass(frozen=True)
class Run:
    """A network of which the first layers are coded, and the rest is retrained around them."""

    pruned: Any  # the network before
    net: Any
    inputs: Any  # of the first layer that is not coded, for all training images
    codecs: tuple[str, ...] = ()
    originals: tuple[Any, ...] = ()  # what the encoder was given
    sizes: tuple[int, ...] = ()
    wrong: tuple[float, ...] = ()  # weights for each that is not zero

    def code(self, codec: str, labels: Any, seed: int) -> "Run":
        """The run with one more layer coded."""
        import torch

        net, k = copy.deepcopy(self.net), len(self.codecs)
        layer, rest = net[2 * k], net[2 * k + 1 :]
        original = layer.weight.detach().numpy().copy()
        layer.weight.data, size, errors = decoded(layer.weight, codec)
        layer.weight.requires_grad = False
        inputs = self.inputs
        if len(rest) > 0:
            with torch.no_grad():
                products = inputs @ layer.weight.T
            parameters = [layer.bias, *rest.parameters()]
            hook = keep_zeros(weights_of(net, k + 1))
            fit(lambda z: rest(z + layer.bias), parameters, products, labels, RETRAIN_EPOCHS,
                seed + k, hook)  # fmt: skip
            with torch.no_grad():
                inputs = (products + layer.bias).relu()
        return Run(
            self.pruned, net, inputs, (*self.codecs, codec), (*self.originals, original),
            (*self.sizes, size), (*self.wrong, errors / int(np.count_nonzero(original))),
        )  # fmt: skip

    def errors(self, images: Any, labels: Any) -> dict[str, float]:
        """Of the pruned network coded without retraining, and of this one, in per cent."""
        at_once = copy.deepcopy(self.pruned)
        for weight, codec in zip(weights_of(at_once), self.codecs, strict=True):
            weight.data = decoded(weight, codec)[0]
        before, after = (100 - accuracy(net, images, labels) for net in (at_once, self.net))
        return {"before": before, "after": after}

    def file_size(self, codecs: Sequence[str]) -> int:
        """Bytes of the whole network as a file, which must decode to what was scored."""
        tensors, scored, recipe = {}, {}, {}
        for k, layer in enumerate(self.net[::2]):
            weight, bias = f"fc{k + 1}.weight", f"fc{k + 1}.bias"
            scored |= {weight: layer.weight.numpy(), bias: layer.bias.detach().numpy()}
            tensors |= {weight: self.originals[k], bias: scored[bias]}
            recipe |= {weight: codecs[k], bias: "lossless"}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "lenet.qc"
            qcodec.save_file(tensors, path, recipe)
            for name, values in qcodec.load_file(path).items():
                np.testing.assert_array_equal(values, scored[name])
            return path.stat().st_size


def deep_compression_sizes(layers: Sequence[Any], gap_bits: Sequence[int]) -> list[int]:
    """Bytes of each layer in Deep Compression's format, the smallest of these widths, verified."""
    sizes = []
    for weights in layers:
        blobs = [deep_compression.encode(weights, bits) for bits in gap_bits]
        best = min(blobs, key=len)
        back = deep_compression.decode(best, weights.size)
        np.testing.assert_array_equal(back, weights.ravel())
        sizes.append(len(best))
    return sizes


def rows_of_exact(start: Run, k: int, data: Any, base: dict[str, Any]) -> Iterator[Row]:
    """One run; its sizes with every exact coder, and its entropy."""
    _, labels, *test = data
    run = start
    for codec in codecs_of(k, "rans", "rans"):
        run = run.code(codec, labels, base["seed"])
    common = base | run.errors(*test) | {"k": k}
    for coder in ("rans", "zero_run(then='rans')"):
        codecs = codecs_of(k, coder, coder)
        blobs = [qcodec.encode(w, c) for w, c in zip(run.originals, codecs, strict=True)]
        sizes = _sizes([len(blob) for blob in blobs])
        yield Row(**common, coder=coder, **sizes, file=run.file_size(codecs))
    layers = [w.detach().numpy() for w in weights_of(run.net)]
    biases = 4 * sum(layer.bias.numel() for layer in run.net[::2])
    others = {
        f"Deep Compression, {GAP_BITS}-bit gaps": deep_compression_sizes(layers, [GAP_BITS]),
        "Deep Compression, best gaps": deep_compression_sizes(layers, range(3, 11)),
        "entropy": [_entropy_bytes(w) for w in layers],
    }
    for coder, bytes_ in others.items():
        yield Row(**common, coder=coder, **_sizes(bytes_), file=sum(bytes_) + biases)


def rows_of_bloomier(
    start: Run, k: int, bits: int, data: Any, base: dict[str, Any]
) -> Iterator[Row]:
    """fc1 so coded, with and without fc2."""
    _, labels, *test = data
    seed, lossy = base["seed"], f"bloomier(bits={bits})"
    first = start.code(codecs_of(k, lossy, lossy)[0], labels, seed)
    for coder, of_fc2 in (("bloomier", lossy), ("bloomier, rans for fc2", "rans")):
        codecs = codecs_of(k, lossy, of_fc2)
        run = first.code(codecs[1], labels, seed).code(codecs[2], labels, seed)
        yield Row(
            **base, **run.errors(*test), k=k, coder=coder, bits=bits, **_sizes(run.sizes),
            file=run.file_size(codecs), wrong1=run.wrong[0], wrong2=run.wrong[1],
        )  # fmt: skip


def codecs_of(k: int, of_fc1: str, of_fc2: str) -> list[str]:
    """Of the three layers; fc3 has an exact coder."""
    of_fc3 = of_fc2 if "bloomier" not in of_fc2 else "rans"
    coders = ((k, of_fc1), (k, of_fc2), (VALUES_OF_FC3, of_fc3))
    return [f"kmeans(k={entries}, keep_zeros=True) | {coder}" for entries, coder in coders]


def _sizes(sizes: Sequence[int]) -> dict[str, int]:
    return {f"fc{k + 1}": size for k, size in enumerate(sizes)}


def _entropy_bytes(weights: Any) -> int:
    symbols = np.unique(weights, return_inverse=True)[1].astype(np.uint8).ravel()
    return round(entropy(symbols) * symbols.size / 8)


def measure(seeds: Sequence[int]) -> Iterator[Row]:
    """Every row, as soon as it is known."""
    import torch

    torch.set_num_threads(1)
    # Adam's moments of dead pixels become subnormal, which makes steps four times slower.
    torch.set_flush_denormal(True)
    data = images, labels, test_images, test_labels = mnist()
    for seed in seeds:
        net = lenet(seed)
        fit(net, list(net.parameters()), images, labels, DENSE_EPOCHS, seed)
        dense = 4 * sum(p.numel() for p in net.parameters())

        def uncoded(fc1: float, net: Any = net, seed: int = seed, dense: int = dense) -> Row:
            error = 100 - accuracy(net, test_images, test_labels)
            return Row(seed=seed, density=fc1, coder="float32", file=dense, after=error)

        yield uncoded(1.0)
        for fc1 in FC1_DENSITIES:
            prune(net, (fc1, FC2_DENSITY, FC3_DENSITY), images, labels, seed)
            yield uncoded(fc1)
            base = {"seed": seed, "density": fc1}
            start = Run(net, net, images)
            for k, value_bits in VALUE_BITS.items():
                yield from rows_of_exact(start, k, data, base)
                for more in MORE_BITS:
                    yield from rows_of_bloomier(start, k, value_bits + more, data, base)


def main() -> None:
    """Measure, or read what was measured, and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="path without .csv, .md, .png")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--read", action="store_true", help="report what the CSV holds")
    args = parser.parse_args()
    table = args.out.with_name(f"{args.out.name}.csv")
    if not args.read:
        for row in write_csv(table, provenance(), measure(args.seeds)):
            print(row, flush=True)
    write_report(*read_csv(table), args.out)


if __name__ == "__main__":
    main()
