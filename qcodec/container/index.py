"""The JSON part of the index: FORMAT.md, "JSON part". Strict both ways."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from qcodec.errors import CorruptError

MAX_DEPTH = 16
# Possessive, and with an optional closing quote: text without one costs no second look.
_TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


def codec_bytes(config: dict[str, Any]) -> bytes:
    """A codec config as it stands in a file."""
    return _dump(config)


def _dump(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8")


@dataclass
class Index:
    """What the JSON part holds."""

    aliases: dict[str, str] = field(default_factory=dict)
    codecs: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Canonical JSON: keys in order, empty ones left out."""
        parts = {
            "aliases": self.aliases,
            "codecs": self.codecs,
            "metadata": self.metadata,
            "source": self.source,
        }
        return _dump({key: value for key, value in parts.items() if value})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Index":
        """Parse and check.

        Raises
        ------
        CorruptError
            Not the canonical JSON of an index.
        """
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CorruptError(f"index: invalid UTF-8 at byte {error.start}") from None
        _check_depth(text)
        try:
            value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        except (json.JSONDecodeError, RecursionError) as error:
            raise CorruptError(f"index: invalid JSON: {error}") from None
        except ValueError as error:
            raise CorruptError(f"index: {error}") from None
        if not isinstance(value, dict):
            raise CorruptError("index: not a JSON object")
        known = ["aliases", "codecs", "metadata", "source"]
        if unknown := [key for key in value if key not in known]:
            raise CorruptError(f"index: unknown key {unknown[0]!r}")
        for key in ("aliases", "metadata", "source"):
            _check_strings(key, value.get(key, {}))
        codecs = value.get("codecs", [])
        if not isinstance(codecs, list) or not all(isinstance(c, dict) for c in codecs):
            raise CorruptError("index: codecs is no array of objects")
        source = value.get("source", {})
        if source and (source.get("format") != "safetensors" or set(source) - {"format", "header"}):
            raise CorruptError("index: unknown source")
        index = cls(value.get("aliases", {}), codecs, value.get("metadata", {}), source)
        try:
            canonical = index.to_bytes() == data
        except ValueError:  # an infinity that came as 1e999, or a lone surrogate
            canonical = False
        if not canonical:
            raise CorruptError("index: not in canonical form")
        return index


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("duplicate key")
    return out


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _check_depth(text: str) -> None:
    """Nesting is counted before parsing: the parser recurses."""
    depth = 0
    for token in _TOKENS.finditer(text):
        c = token.group()
        if c in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise CorruptError(f"index: nested deeper than {MAX_DEPTH}")
        elif c in "]}":
            depth -= 1


def _check_strings(key: str, value: object) -> None:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise CorruptError(f"index: {key} is no object of strings")
