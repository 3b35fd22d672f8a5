"""One measured point: the bytes of a real file, the error of what comes back from it."""

import math
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from rd_families import RATES, Family
from rd_math import gap_db, solve
from rd_peers import FORMATS
from rd_sources import Array, Source

import qcodec
from qcodec.metrics import quantization_error

Score = Callable[[dict[str, Array]], float]


@dataclass(frozen=True)
class Row:
    """One line of the results.

    Attributes
    ----------
    source, family, codec : str
        What was compressed and how; `codec` as it was encoded.
    bits : float
        8 times `bytes` over the values of all tensors.
    bytes : int
        Of the whole file; of a fixed-rate format, see `rd_peers`.
    snr_db : float
        Energy of the weights over energy of their error.
    gap_db : float or None
        Distance to the rate-distortion bound, where the source has a known one.
    top1 : float or None
        Percent of test images that the decoded network gets right.
    encode_s, decode_s : float or None
        One run each, one thread, with the file written and read.
    """

    source: str
    family: str
    codec: str
    bits: float
    bytes: int
    snr_db: float
    gap_db: float | None
    top1: float | None
    encode_s: float | None
    decode_s: float | None


@dataclass(frozen=True)
class Bench:
    """A source, what its other tensors are stored with, and how a decoded model is scored."""

    source: Source
    rest: str = "lossless"
    score: Score | None = None

    def recipe(self, source: Source, codec: str) -> dict[str, str]:
        """The codec for the weights and `rest` for what is beside them, tensor by tensor."""
        weights = set(source.weights)
        return {
            f"re:{re.escape(name)}": codec if name in weights else self.rest
            for name in source.tensors
        }

    def rate(self, source: Source, codec: str) -> float:
        """Bits per value of the file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "probe.qc"
            qcodec.save_file(source.tensors, path, self.recipe(source, codec), threads=1)
            return 8 * path.stat().st_size / source.size

    def measure(self, family: str, codec: str) -> Row:
        """Encode to a file, decode it, compare."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.qc"
            recipe = self.recipe(self.source, codec)
            start = time.perf_counter()
            qcodec.save_file(self.source.tensors, path, recipe, threads=1)
            encoded = time.perf_counter()
            decoded = qcodec.load_file(path, threads=1)
            end = time.perf_counter()
            size = path.stat().st_size
        name = str(qcodec.parse(codec))
        return self._row(family, name, size, decoded, encoded - start, end - encoded)

    def _row(
        self,
        family: str,
        codec: str,
        size: int,
        decoded: dict[str, Array],
        encode_s: float | None = None,
        decode_s: float | None = None,
    ) -> Row:
        source = self.source
        bits = 8 * size / source.size
        error = quantization_error(source.flat(source.tensors), source.flat(decoded))
        gap = gap_db(source.name, bits, error.snr_db)
        top1 = None if self.score is None else self.score(decoded)
        return Row(
            source.name, family, codec, bits, size, error.snr_db, gap, top1, encode_s, decode_s
        )

    def family(self, family: Family) -> Iterator[Row]:
        """The family's points: those of fixed values, and one for each rate within its reach."""
        for codec in family.fixed():
            yield self.measure(family.label, codec)
        if family.search is None:
            return
        probe = self.source.probe()
        scale = self.source.rms if family.scaled else 1.0
        low, high = (scale * x for x in family.search)
        refusals = []

        @cache
        def rate(value: float) -> float:
            try:
                return self.rate(probe, family.codec(value))
            except qcodec.InputError as error:
                # The range is the same for all; a step too fine for a codec is beyond any rate.
                refusals.append(str(error))
                return math.inf

        for target in RATES:
            value = solve(rate, target, low, high)
            if value is None:
                why = f": {refusals[-1]}" if refusals else ""
                print(f"  {family.label}: {target} bits are out of reach{why}", file=sys.stderr)
                continue
            row = self.measure(family.label, family.codec(value))
            if probe is not self.source and abs(row.bits - target) > 0.01 * target:
                # The probe's overhead is not the whole's.
                value = solve(rate, 2 * target - row.bits, low, high)
                if value is not None:
                    again = self.measure(family.label, family.codec(value))
                    row = min(row, again, key=lambda r: abs(r.bits - target))
            yield row

    def formats(self) -> Iterator[Row]:
        """Fixed-rate formats; one whose package is missing says so on stderr."""
        for name, run in FORMATS.items():
            decoded = dict(self.source.tensors)
            size = 4 * (self.source.size - sum(decoded[n].size for n in self.source.weights))
            try:
                for tensor in self.source.weights:
                    taken, decoded[tensor] = run(decoded[tensor])
                    size += taken
            except pytest.skip.Exception as reason:
                print(f"  {name} is not available: {reason}", file=sys.stderr)
                continue
            yield self._row(name, name, size, decoded)
