"""What a row of the table is: figures, the targets they are held against, and how pairs compare."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


class Unavailable(Exception):
    """Something that a row needs is not here or did not do its work; the text says what."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A bound that a figure has to keep."""

    limit: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether the value keeps the bound."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a row."""

    name: str
    value: float
    #: `×` for a ratio.
    unit: str
    target: Target | None = None
    #: The smallest and the largest of what it is the median of.
    low: float | None = None
    high: float | None = None

    @property
    def spread(self) -> str:
        """From where to where the rounds went, for people; empty for what is no median."""
        if self.low is None or self.high is None:
            return ""
        return f"{amount(self.low, '').strip()}–{amount(self.high, '').strip()}"

    @property
    def text(self) -> str:
        """The value, for people."""
        return amount(self.value, self.unit)

    @property
    def wanted(self) -> str:
        """The target, for people."""
        if self.target is None:
            return "–"
        word = "at least" if self.target.at_least else "at most"
        return f"{word} {amount(self.target.limit, self.unit)}"

    @property
    def verdict(self) -> str:
        """Whether the target was reached."""
        if self.target is None:
            return "–"
        if self.target.is_met(self.value):
            return "reached"
        text, limit = self.text, amount(self.target.limit, self.unit)
        # Missed by less than the digits show.
        text = f"{self.value:.5g} {self.unit}" if text == limit else text
        return f"not reached: {text} of {limit}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one bench found."""

    key: str
    title: str
    #: Counted rounds; the medians are over them.
    rounds: int = 0
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    #: Why there are no figures, else empty.
    missing: str = ""

    def as_json(self) -> dict[str, Any]:
        """The row as it is stored."""
        return asdict(self)

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> "Row":
        """The row that was stored."""
        figures = tuple(
            Figure(**{**fields, "target": Target(**fields["target"]) if fields["target"] else None})
            for fields in stored["figures"]
        )
        return Row(**{**stored, "figures": figures, "notes": tuple(stored["notes"])})


def amount(value: float, unit: str) -> str:
    """A number with its unit, with as many digits as mean something."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def middle(name: str, values: Sequence[float], unit: str, target: Target | None = None) -> Figure:
    """The median over the rounds."""
    return Figure(
        name=name,
        value=statistics.median(values),
        unit=unit,
        target=target,
        low=min(values),
        high=max(values),
    )


def compared(
    name: str, peer: str, own: Sequence[float], theirs: Sequence[float], target: Target | None
) -> list[Figure]:
    """Both ratios to a peer; the target is held against the one by pairs."""
    pairs = [a / b for a, b in zip(own, theirs, strict=True)]
    by_medians = statistics.median(own) / statistics.median(theirs)
    return [
        middle(f"{name}, ours / {peer}", pairs, "×", target),
        Figure(name=f"{name}, ours / {peer}, ratio of medians", value=by_medians, unit="×"),
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def without_omission(waits: Sequence[float], every: float) -> list[float]:
    """Waits as one sees them who asks on time even while an earlier answer is still out.

    A sampler that waits for each answer asks less often just when answers are slow; the questions
    that it left out would have waited for the rest of that time.
    """
    found = []
    for wait in waits:
        while wait > 0:
            found.append(wait)
            wait -= every
    return found
