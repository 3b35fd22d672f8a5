"""What a stage of a codec is: configuration, its string, its JSON. No coding happens here."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from qcodec.pipeline import Codec


class Stage:
    """A frozen dataclass with a name; `|` joins stages into a codec."""

    kind: ClassVar[str]
    name: ClassVar[str]
    wire_id: ClassVar[int]

    def get_config(self) -> dict[str, Any]:
        """Name and all options, in plain JSON, in the order of FORMAT.md."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {"name": self.name} | {f.name: getattr(self, f.name) for f in fields}

    @classmethod
    def from_config(cls, options: dict[str, Any]) -> Self:
        """The stage of `get_config`, without its name. Unknown options are a TypeError."""
        return cls(**options)

    def __or__(self, other: object) -> Codec:
        from qcodec.pipeline import Codec

        return Codec.of(self) | other

    def __str__(self) -> str:
        shown = [
            f"{f.name}={value!r}"
            for f in dataclasses.fields(self)  # type: ignore[arg-type]
            if (value := getattr(self, f.name)) != f.default
        ]
        return f"{self.name}({', '.join(shown)})" if shown else self.name


class Quantizer(Stage, ABC):
    """Elements to symbol planes and parameters. Subclasses pick parameters; kernels do the work."""

    kind = "quantizer"
    lossy: ClassVar[bool] = True
    default_coder: ClassVar[str] = "rans"

    @abstractmethod
    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """Options of the native job for a tensor of this shape.

        Raises
        ------
        ValueError
            The options do not fit the shape.
        """

    @abstractmethod
    def fit(self, job: Any, data: Any) -> tuple[Any, Any]:
        """Parameters of a whole tensor: float32 scales and int32 zero points, one per group."""


class Coder(Stage):
    """Symbols to bytes. Configuration only."""

    kind = "coder"
