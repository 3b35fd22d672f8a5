"""`bloomier` beside the three-hash filter: ``python benchmarks/bench_bloomier.py``.

Space over n * bits, build, decoding in order at each instruction set, decoding to float32 beside
memcpy, and the rate of wrong zeros. Times are the least of several runs, by the clock of the
process (`cpu`) and by that of the wall; the two differ where others share the core.
"""

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from bloomier_peeling import Filter

import qcodec
from qcodec import _core

U8 = npt.NDArray[np.uint8]
DENSITY, BITS, PLANE = 0.08, 6, 4
CHUNK = 1 << 20
BLOOMIER = qcodec.Bloomier.wire_id
MARKS = {3_000: 2.5, 10_000: 1.2, 1_000_000: 0.7}  # percent over n * bits
SPEEDS = {"portable": 0.12, "avx2": 1.0, "avx512": 2.0}  # billion positions a second


def sparse(keys: int, values: int, seed: int = 0) -> U8:
    """So many of `values` symbols among zeros, at DENSITY."""
    rng = np.random.default_rng([keys, values, seed])
    symbols = np.zeros(round(keys / DENSITY), np.uint8)
    at = rng.choice(symbols.size, keys, replace=False)
    symbols[at] = rng.integers(1, values + 1, keys)
    return symbols


def chunks_of(symbols: U8) -> list[U8]:
    return [symbols[k : k + CHUNK] for k in range(0, symbols.size, CHUNK)]


@dataclass
class Seconds:
    cpu: float
    wall: float


def least(run: Callable[[], Any], rounds: int) -> Seconds:
    """The least time of a run, by both clocks."""
    cpu, wall = [], []
    for _ in range(rounds):
        c, w = time.process_time(), time.perf_counter()
        run()
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    return Seconds(min(cpu), min(wall))


def verdict(value: float, mark: float, *, at_most: bool = False) -> str:
    met = value <= mark if at_most else value >= mark
    return f"{'<=' if at_most else '>='} {mark:g}: {'met' if met else 'MISSED'}"


def encode(chunks: list[U8], bits: int = BITS) -> list[U8]:
    made = [_core.bloomier_encode(chunk, PLANE, bits, 0) for chunk in chunks]
    return [np.frombuffer(payload, np.uint8) for payload in made if payload is not None]


def space_and_build() -> Iterator[str]:
    yield "| structure | keys | bytes | over n * bits | mark | build, M keys/s cpu | wall | mark |"
    yield "|---|---:|---:|---:|---|---:|---:|---|"
    for keys, mark in MARKS.items():
        symbols = sparse(keys, 15)
        chunks = chunks_of(symbols)
        rounds = 30 if keys < 100_000 else 7
        seconds = least(lambda chunks=chunks: encode(chunks), rounds)
        size = sum(payload.size for payload in encode(chunks))
        over = 100 * (8 * size / keys / BITS - 1)
        speed = [keys / s / 1e6 for s in (seconds.cpu, seconds.wall)]
        large = verdict(speed[0], 8) if keys == 1_000_000 else ""
        yield (
            f"| ribbon | {keys:,} | {size:,} | {over:.2f} % "
            f"| {verdict(over, mark, at_most=True)} | {speed[0]:.1f} | {speed[1]:.1f} | {large} |"
        )
        at = np.flatnonzero(symbols)
        values = symbols[at] - np.uint8(1)
        Filter(at, values, BITS)
        seconds = least(lambda at=at, values=values: Filter(at, values, BITS), 5)
        size = Filter(at, values, BITS).nbytes
        over = 100 * (8 * size / keys / BITS - 1)
        yield (
            f"| three hashes | {keys:,} | {size:,} | {over:.2f} % | "
            f"| {keys / seconds.cpu / 1e6:.1f} | {keys / seconds.wall / 1e6:.1f} | |"
        )


def decoding() -> Iterator[str]:
    symbols = sparse(1_000_000, 15)
    chunks = chunks_of(symbols)
    payloads = encode(chunks)

    def decode() -> None:
        for payload, chunk in zip(payloads, chunks, strict=True):
            _core.stream_decode(BLOOMIER, payload, chunk.size, PLANE)

    yield "| structure | level | G positions/s cpu | wall | mark |"
    yield "|---|---|---:|---:|---|"
    before = _core.isa()
    for level, mark in SPEEDS.items():
        try:
            _core.set_isa(level)
        except ValueError:
            yield f"| ribbon | {level} | | | this CPU has it not |"
            continue
        seconds = least(decode, 9)
        speed = [symbols.size / s / 1e9 for s in (seconds.cpu, seconds.wall)]
        yield f"| ribbon | {level} | {speed[0]:.2f} | {speed[1]:.2f} | {verdict(speed[0], mark)} |"
    _core.set_isa(before)
    at = np.flatnonzero(symbols)
    table, out = Filter(at, symbols[at] - np.uint8(1), BITS), np.empty(symbols.size, np.uint8)
    table.words(out)
    np.testing.assert_array_equal(out[at], symbols[at] - 1)
    seconds = least(lambda: table.words(out), 3)
    speed = [symbols.size / s / 1e9 for s in (seconds.cpu, seconds.wall)]
    yield f"| three hashes | numba | {speed[0]:.3f} | {speed[1]:.3f} | |"


def to_floats() -> Iterator[str]:
    rng = np.random.default_rng(5)
    n = round(1e6 / DENSITY)
    w = (rng.standard_normal(n) * (rng.random(n) < DENSITY)).astype(np.float32)
    out = np.ones(n, np.float32)
    copy = least(lambda: np.copyto(out, w), 15)
    yield "| codec | level | M weights/s cpu | wall | to memcpy, cpu | mark |"
    yield "|---|---|---:|---:|---:|---|"
    yield f"| memcpy | | {n / copy.cpu / 1e6:.0f} | {n / copy.wall / 1e6:.0f} | 1 | |"
    before = _core.isa()
    for codec in ("uniform(bits=4) | bloomier(bits=6)", "uniform(bits=4) | rans"):
        blob = qcodec.encode(w, codec)
        for level in SPEEDS:
            try:
                _core.set_isa(level)
            except ValueError:
                continue
            seconds = least(lambda blob=blob: qcodec.decode(blob, out=out, threads=1), 15)
            ratio = copy.cpu / seconds.cpu
            lossy = "bloomier" in codec and level == before
            yield (
                f"| `{codec.replace('|', chr(92) + '|')}` | {level} "
                f"| {n / seconds.cpu / 1e6:.0f} | {n / seconds.wall / 1e6:.0f} "
                f"| {ratio:.2f} | {verdict(ratio, 1) if lossy else ''} |"
            )
        _core.set_isa(before)


def rates() -> Iterator[str]:
    yield "| bits | values | asked for | measured | sigma | mark | three hashes |"
    yield "|---:|---:|---:|---:|---:|---|---:|"
    for bits in (4, 6, 8):
        for values in (1, 2, 15):
            symbols = sparse(400_000, values)
            chunks = chunks_of(symbols)
            decoded = np.concatenate([
                _core.stream_decode(BLOOMIER, payload, chunk.size, PLANE)
                for payload, chunk in zip(encode(chunks, bits), chunks, strict=True)
            ])  # fmt: skip
            zeros = symbols == 0
            n = int(zeros.sum())
            asked = values / 2**bits
            measured = float((decoded[zeros] != 0).mean())
            sigma = (measured - asked) / np.sqrt(asked * (1 - asked) / n)
            at = np.flatnonzero(symbols)
            words = np.empty(symbols.size, np.uint8)
            Filter(at, symbols[at] - np.uint8(1), bits).words(words)
            other = float((words[zeros] < values).mean())
            yield (
                f"| {bits} | {values} | {asked:.5f} | {measured:.5f} | {sigma:+.1f} | "
                f"{verdict(abs(sigma), 3, at_most=True)} | {other:.5f} |"
            )


SECTIONS = {
    f"Space and build, {DENSITY:.0%} density, {BITS} bits, 15 values": space_and_build,
    "Decoding all positions in order, 1,000,000 keys": decoding,
    "Decoding to float32, 12,500,000 weights, one thread": to_floats,
    "Zeros that answer with a value": rates,
}


def header() -> Iterator[str]:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line for line in text.splitlines() if line.startswith("model name")]
    names = [line.split(":")[1].strip() for line in models]
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    yield "# bloomier: static function of the positions that are not zero"
    yield ""
    yield (
        f"Machine: {(names or [platform.processor()])[0]}, {platform.system()}, Python "
        f"{platform.python_version()}, one core. Commit: {commit}. Level: {_core.isa()}."
    )
    yield f"Command: `python benchmarks/{Path(sys.argv[0]).name}`"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="also write the report there")
    options = parser.parse_args()
    lines = list(header())
    for title, section in SECTIONS.items():
        lines += ["", f"## {title}", "", *section()]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
