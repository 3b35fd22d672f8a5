"""What a stage of a codec is: configuration, its string, its JSON. No coding happens here."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from qcodec.pipeline import Codec

T = TypeVar("T")


class Stage:
    """A frozen dataclass with a name; `|` joins stages into a codec."""

    kind: ClassVar[str]
    name: ClassVar[str]
    wire_id: ClassVar[int]
    positional: ClassVar[int] = 0  # options, the first ones, that strings give without their names

    def get_config(self) -> dict[str, Any]:
        """Name and options, in plain JSON, in the order of FORMAT.md.

        Options that came after their stage (`added`) stand there only where they are not the
        default, so that configs that did without stay the same.
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {"name": self.name} | {
            f.name: value
            for f in fields
            if (value := getattr(self, f.name)) != f.default or "added" not in f.metadata
        }

    @classmethod
    def from_config(cls, options: dict[str, Any]) -> Self:
        """The stage of `get_config`, without its name. Unknown options are a TypeError."""
        return cls(**options)

    def __or__(self, other: object) -> Codec:
        from qcodec.pipeline import Codec

        if not isinstance(other, Stage):
            return NotImplemented
        return Codec.of(self, other)

    def __str__(self) -> str:
        shown = [
            repr(value) if k < self.positional else f"{f.name}={value!r}"
            for k, f in enumerate(dataclasses.fields(self))  # type: ignore[arg-type]
            if (value := getattr(self, f.name)) != f.default
        ]
        return f"{self.name}({', '.join(shown)})" if shown else self.name


def added(version: str, default: T) -> T:
    """A dataclass field for an option that came with a version of the format after 1.0."""
    out: T = dataclasses.field(default=default, metadata={"added": version})
    return out


class Transform(Stage, ABC):
    """An invertible map of the elements, before the quantizer."""

    kind = "transform"

    @abstractmethod
    def job_options(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Options of the native job for a tensor of this shape.

        Raises
        ------
        ValueError
            The transform does not fit the shape.
        """


@dataclasses.dataclass
class Part:
    """The elements that a chunk holds of one tensor, on their way into symbols.

    `values` are float32 coefficients, in their order, or the bytes of elements for a quantizer that
    loses nothing; `first` is the tensor's element that they begin with. `classes`, one per element,
    are those whose order the symbols are coded in. `fitted` is what `Quantizer.fit_tensor` made.
    """

    job: Any
    values: npt.NDArray[Any]
    first: int
    fitted: Any
    classes: npt.NDArray[np.uint8] | None = None


@dataclasses.dataclass
class Symbols:
    """What a quantizer made of the parts of a chunk: a section of each, and planes of all.

    `patient` says whether coders may search long for the last half per cent. `trellis` is what the
    symbols follow, for coders that profit: log2 of its states, and lanes.
    """

    sections: list[bytes]
    planes: list[npt.NDArray[np.uint8]]
    bits: list[int]
    patient: bool = True
    trellis: tuple[int, int] = (0, 0)


class Quantizer(Stage, ABC):
    """Elements to symbol planes and parameters. Subclasses pick parameters; kernels do the work."""

    kind = "quantizer"
    lossy: ClassVar[bool] = True
    default_coder: ClassVar[str] = "rans"
    # Tensors of fewer elements share a chunk: lanes, tables and an index record cost them too much.
    shared_below: ClassVar[int] = 1 << 16
    bitwise: ClassVar[bool] = False  # symbols are the bits of elements, not of their values

    def prepare(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Elements as a bitwise quantizer stores them, in their dtype."""
        return array

    @property
    def takes_coefficients(self) -> bool:
        """Whether the elements may be coefficients of a transform, in their order."""
        return False

    @abstractmethod
    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """Options of the native job for a tensor of this shape.

        Raises
        ------
        ValueError
            The options do not fit the shape.
        """

    @property
    def shares_chunks(self) -> bool:
        """Whether small tensors may be put into one chunk."""
        return True

    @property
    def takes_weights(self) -> bool:
        """Whether `fit_tensor` takes the importance of each element, as `weights`."""
        return False

    @property
    def reach(self) -> float:
        """Largest magnitude of an element that can be encoded."""
        return float(np.finfo(np.float32).max)

    def step_of(self, part: Part) -> float:
        """Distance of neighbouring values, for quantizers with a profile."""
        return float(part.job.step)

    @property
    def searches(self) -> bool:
        """Whether symbols come from a search (`symbols`) instead of the native kernel."""
        return False

    @property
    def takes_lossy_coder(self) -> bool:
        """Whether each symbol is a value for itself, and a wrong one no more than a wrong value."""
        return False

    def why_exact(self, made: Symbols) -> str | None:
        """Why these symbols cannot take errors where others of this quantizer can, or None."""
        return None

    def fit_tensor(self, job: Any, chunks: list[npt.NDArray[Any]]) -> Any:
        """What is decided once for a whole tensor, given as chunks of values; for `Part.fitted`."""
        return self.fit(job, np.concatenate(chunks).view(np.uint8))

    def symbols(self, parts: list[Part]) -> Symbols:
        """Sections and symbols of the parts of one chunk, by the native kernel."""
        made = [p.job.symbols(p.values.view(np.uint8), *p.fitted, p.first) for p in parts]
        planes = [np.concatenate(same) for same in zip(*(m[1] for m in made), strict=True)]
        return Symbols([m[0] for m in made], planes, made[0][2])

    def fit(self, job: Any, data: Any) -> tuple[Any, Any]:
        """Parameters that the native kernel is given: float32 scales and int32 zero points, one per
        group of the tensor; by default none.
        """
        return np.empty(0, np.float32), np.empty(0, np.int32)


class Coder(Stage):
    """Symbols to bytes. Configuration only, but for coders that lose something."""

    kind = "coder"
    lossy: ClassVar[bool] = False

    def stream(self, symbols: npt.NDArray[np.uint8], bits: int) -> bytes:
        """Of a lossy coder: a plane's symbols as a stream, by its options.

        Raises
        ------
        InputError
            The symbols do not fit the options.
        """
        raise NotImplementedError
