"""Which tensor gets which codec: ordered rules, first match wins."""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

from qcodec._arrays import LOSSY_DTYPES
from qcodec.errors import InputError
from qcodec.pipeline import Codec, parse
from qcodec.stages import Stage

MAX_PATTERN_CHARS = 1000


@dataclass(frozen=True)
class Rule:
    """One line of a recipe.

    Parameters
    ----------
    match : str
        A glob over tensor names (``"*.weight"``), or ``"re:"`` and a regular expression that must
        match the whole name.
    codec : Codec
        For the tensors that match.
    optional : bool, default False
        Whether the rule may match nothing.
    """

    match: str
    codec: Codec
    optional: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.match, str) or len(self.match) > MAX_PATTERN_CHARS:
            raise InputError(f"rule {self.match!r:.60}: match must be a pattern of at most "
                             f"{MAX_PATTERN_CHARS} characters")  # fmt: skip
        try:
            re.compile(self._expression())
        except re.error as error:
            raise InputError(f"rule {self.match!r}: {error}") from None

    def _expression(self) -> str:
        if self.match.startswith("re:"):
            return self.match[3:]
        return fnmatch.translate(self.match)

    def matches(self, name: str) -> bool:
        """Whether the rule takes this tensor."""
        return re.fullmatch(self._expression(), name) is not None


@dataclass(frozen=True)
class Recipe:
    """Ordered rules. Tensors that no rule matches are stored lossless.

    A bare codec, `Recipe.of("uniform(bits=8) | huffman")`, is the recipe for whole models: it takes
    the floating tensors of two or more dimensions; biases, norms and integers stay lossless. What
    is `named`, by `preset`, comes before all rules.

    Examples
    --------
    >>> recipe = Recipe.of({"*.bias": "lossless", "re:layer[0-9]+.*": "uniform(bits=4, group=64)"})
    >>> [str(rule.codec) for rule in recipe.rules]
    ['lossless | rans', 'uniform(bits=4, group=64) | rans']
    """

    rules: tuple[Rule, ...] = ()
    matrices: Codec | None = None
    named: tuple[tuple[str, Codec], ...] = ()

    @staticmethod
    def of(value: object) -> "Recipe":
        """A recipe from a codec, a codec's string, a mapping of patterns to codecs, or a recipe.

        Raises
        ------
        InputError
            A codec string or pattern is malformed.
        TypeError
            `value` is none of these.
        """
        if isinstance(value, Recipe):
            return value
        if isinstance(value, Mapping):
            return Recipe(tuple(Rule(k, as_codec(v)) for k, v in value.items()))
        codec = as_codec(value)
        if codec.lossy:
            return Recipe(matrices=codec)
        return Recipe((Rule("*", codec, optional=True),))

    @staticmethod
    def from_toml(path: str | PathLike[str]) -> "Recipe":
        """A recipe from a TOML file: tables ``[[rule]]`` with `match`, `codec`, and `optional`.

        Raises
        ------
        InputError
            The file is not TOML, or not a recipe.
        """
        import tomllib  # only recipes in files need it, and every load would pay for it

        where = fspath(path)
        with open(path, "rb") as stream:
            try:
                data = tomllib.load(stream)
            except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
                raise InputError(f"{where}: not TOML: {error}") from None
        rules = data.get("rule")
        if set(data) != {"rule"} or not isinstance(rules, list) or not rules:
            raise InputError(f"{where}: a recipe is a list of [[rule]] tables, and nothing else")
        try:
            return Recipe(tuple(_toml_rule(rule) for rule in rules))
        except (InputError, TypeError) as error:
            raise InputError(f"{where}: {error}") from None

    def assign(self, tensors: Iterable[tuple[str, str, tuple[int, ...]]]) -> dict[str, Codec]:
        """Codecs of tensors given as (name, dtype, shape).

        Raises
        ------
        InputError
            A rule that is not optional matches no tensor.
        """
        lossless = parse("lossless")
        named = dict(self.named)
        used = [rule.optional for rule in self.rules]
        out = {}
        for name, dtype, shape in tensors:
            if name in named:
                out[name] = named.pop(name)
                continue
            codec = lossless
            if self.matrices is not None and dtype in LOSSY_DTYPES and len(shape) >= 2:
                codec = self.matrices
            for k, rule in enumerate(self.rules):
                if rule.matches(name):
                    used[k] = True
                    codec = rule.codec
                    break
            out[name] = codec
        if named:
            raise InputError(f"recipe: no tensor {next(iter(named))!r}, for which it has a codec")
        for k, rule in enumerate(self.rules):
            if not used[k]:
                raise InputError(
                    f"recipe: rule {rule.match!r} gets no tensor: none matches, or earlier rules "
                    "took all that do; mend it, or mark it optional"
                )
        return out


def as_codec(value: object) -> Codec:
    """A codec from a codec, a stage or a string."""
    if isinstance(value, Codec):
        return value
    if isinstance(value, Stage):
        return Codec.of(value)
    if isinstance(value, str):
        return parse(value)
    raise TypeError(f"a codec is a string or a codec object, not {type(value).__name__}")


def _toml_rule(rule: Any) -> Rule:
    if not isinstance(rule, dict) or set(rule) - {"match", "codec", "optional"}:
        raise InputError("a rule has match, codec and optional, and nothing else")
    if not isinstance(rule.get("match"), str) or not isinstance(rule.get("codec"), str):
        raise InputError("a rule needs match and codec, both strings")
    if not isinstance(rule.get("optional", False), bool):
        raise InputError("optional must be true or false")
    return Rule(rule["match"], parse(rule["codec"]), rule.get("optional", False))
