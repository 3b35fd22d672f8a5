"""Stages by kind and name. Importing `qcodec.pipeline` fills it."""

from typing import TypeVar

from qcodec.stages import Stage

S = TypeVar("S", bound=type[Stage])

_STAGES: dict[tuple[str, str], type[Stage]] = {}


def register(stage: S) -> S:
    """Add a stage class under its kind and name. Each may be taken once."""
    key = (stage.kind, stage.name)
    if key in _STAGES:
        raise ValueError(f"{stage.kind} {stage.name!r} is registered twice")
    _STAGES[key] = stage
    return stage


def lookup(kind: str, name: str) -> type[Stage] | None:
    """The stage class, or None."""
    return _STAGES.get((kind, name))


def stages(kind: str) -> dict[str, type[Stage]]:
    """All stage classes of a kind, by name."""
    return {name: cls for (k, name), cls in _STAGES.items() if k == kind}
