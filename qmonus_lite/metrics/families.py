"""Counters, gauges and histograms of this process: time series by label values, over its slots."""

from bisect import bisect_left

from qmonus_lite.metrics.definitions import OTHER, Metric, MetricType
from qmonus_lite.metrics.slots import Slots

#: Separates the name of a metric and its label values in a key.
SEPARATOR = "\x1f"
#: What a label value may not have in a key.
_UNSAFE = str.maketrans(dict.fromkeys("\t\n\x1f", " "))


def key_of(name: str, labels: tuple[str, ...]) -> str:
    """The key of a time series."""
    return SEPARATOR.join((name, *(label.translate(_UNSAFE) for label in labels)))


class Family(dict[tuple[str, ...], int]):
    """The time series of one metric: first slot by label values; made at the first use.

    Methods and lookups may be used by any thread.
    """

    def __init__(self, metric: Metric, slots: Slots) -> None:
        super().__init__()
        self.metric = metric
        self._slots = slots
        #: The values of bounded labels that came so far, by label.
        self._known: dict[str, set[str]] = {name: set() for name in metric.bounded}

    def __missing__(self, labels: tuple[str, ...]) -> int:
        kept = tuple(map(self._bounded, self.metric.labels[-len(labels) :], labels))
        if kept != labels:
            # Not remembered: there may be any number of these.
            return self[kept]
        with self._slots.lock:
            if labels not in self:
                key = key_of(self.metric.name, labels)
                self[labels] = self._slots.allocate(key, self.metric.width)
            return dict.__getitem__(self, labels)

    def _bounded(self, name: str, value: str) -> str:
        known = self._known.get(name)
        if known is None or value in known:
            return value
        if len(known) >= self.metric.bounded[name]:
            return OTHER
        known.add(value)
        return value


class Counter(Family):
    """A counter, or a gauge."""

    def add(self, labels: tuple[str, ...], amount: float = 1.0) -> None:
        """Count `amount` more."""
        at, slots = self[labels], self._slots
        with slots.lock:
            slots.values[at] += amount

    def set(self, labels: tuple[str, ...], value: float) -> None:
        """Set the value."""
        self._slots.values[self[labels]] = value


class Histogram(Family):
    """A histogram."""

    def __init__(self, metric: Metric, slots: Slots) -> None:
        assert metric.kind is MetricType.HISTOGRAM
        super().__init__(metric, slots)
        self._bounds = metric.buckets
        #: Place of the sum among the slots of a time series.
        self.sum_at = len(metric.buckets) + 1

    def observe(self, labels: tuple[str, ...], seconds: float) -> None:
        """Count one observation."""
        at, slots = self[labels], self._slots
        bucket, values = self.bucket(at, seconds), slots.values
        with slots.lock:
            values[bucket] += 1.0
            values[at + self.sum_at] += seconds

    def bucket(self, first: int, seconds: float) -> int:
        """The slot of the bucket for an observation, of the time series that begins at `first`."""
        return first + bisect_left(self._bounds, seconds)
