"""Codecs under test: one line each, with one free parameter, solved for a rate."""

from collections.abc import Iterator
from dataclasses import dataclass

import qcodec

RATES = (1.0, 1.5, 2.0, 3.0, 4.0)
STEPS = (0.003, 12.0)  # in units of the weights' root mean square


@dataclass(frozen=True)
class Family:
    """Codec strings that differ in one parameter.

    Attributes
    ----------
    label : str
        For plots and tables.
    template : str
        Codec string with ``{}`` at the free parameter, or without, for a codec that has none.
    search : (float, float), optional
        Range of a parameter that is solved for each of `RATES`.
    values : tuple of int
        Values of a parameter that is not solved for.
    scaled : bool
        Whether `search` is in units of the weights' root mean square.
    models_only : bool
        Whether the codec needs tensors of two or more dimensions.
    """

    label: str
    template: str
    search: tuple[float, float] | None = None
    values: tuple[int, ...] = ()
    scaled: bool = False
    models_only: bool = False

    @staticmethod
    def stepped(label: str, template: str, models_only: bool = False) -> "Family":
        """A family whose parameter is a step."""
        return Family(label, template, STEPS, scaled=True, models_only=models_only)

    def codec(self, value: float) -> str:
        """The codec string at a value of the parameter, which five digits tell."""
        return self.template.format(f"{value:.5g}")

    def fixed(self) -> Iterator[str]:
        """Codec strings that need no search."""
        if "{}" not in self.template:
            yield self.template
        for value in self.values:
            yield self.codec(value)

    def refusal(self) -> str | None:
        """Why the installed qcodec does not parse this family; None if it does."""
        value = self.values[0] if self.values else self.search[0] if self.search else 1
        try:
            qcodec.parse(self.codec(value))
        except qcodec.InputError as error:
            return str(error)
        return None


# To add a codec, add a line.
FAMILIES = (
    Family.stepped("uniform", "uniform(step={}) | rans"),
    Family.stepped("uniform, rdo 0.05", "uniform(step={}, rdo=0.05) | rans"),
    Family.stepped("uniform, rdo 0.1, profile", "uniform(step={}, rdo=0.1, profile=True) | rans",
                   models_only=True),
    Family("uniform, group 64", "uniform(bits={}, group=64, clip='mse') | rans",
           values=(2, 3, 4, 5)),
    Family("uniform, per row", "uniform(bits={}, axis=0, clip='mse') | rans", values=(3, 4, 5, 6),
           models_only=True),
    Family.stepped("dithered, Wiener", "dithered(step={}, seed=1, wiener=True) | rans"),
    Family.stepped("lattice D4", "lattice('d4', step={}) | rans"),
    Family.stepped("lattice E8", "lattice('e8', step={}) | rans"),
    Family.stepped("lattice Leech", "lattice('leech', step={}) | rans"),
    Family.stepped("trellis 8", "trellis(states=8, step={}) | rans"),
    Family.stepped("trellis 32", "trellis(step={}) | rans"),
    Family.stepped("trellis 128", "trellis(states=128, step={}) | rans"),
    Family.stepped("trellis 128, profile", "trellis(states=128, step={}, profile=True) | rans",
                   models_only=True),
    Family("k-means", "kmeans(k={}) | rans", values=(2, 3, 4, 6, 8, 16, 32)),
    Family("k-means, rate", "kmeans(k=64, rate={}) | rans", (1e-3, 10.0)),
    Family.stepped("dct, uniform", "dct | uniform(step={}) | rans", models_only=True),
    Family.stepped("dct, rdo 0.1, profile",
                   "dct | uniform(step={}, rdo=0.1, profile=True) | rans", models_only=True),
    Family.stepped("dct, trellis 128, profile",
                   "dct | trellis(states=128, step={}, profile=True) | rans", models_only=True),
    Family("ternary", "ternary | zero_run"),
)  # fmt: skip


def of_template(template: str) -> Family:
    """A family from the command line: ``{}``, if there is one, is a step."""
    return Family.stepped(template, template) if "{}" in template else Family(template, template)
