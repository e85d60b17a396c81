"""The metrics of this process: its recorder, and what is measured twice a second."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from qmonus_lite import nonblocking_output
from qmonus_lite.metrics.definitions import LOG_LOST, LOOP_LAG, Metric
from qmonus_lite.metrics.directory import MetricsDirectory
from qmonus_lite.metrics.families import Counter, Histogram
from qmonus_lite.metrics.listener import MetricsListener
from qmonus_lite.observations import Listener
from qmonus_lite.values import Value

#: Seconds between two measurements.
SAMPLE_SECONDS = 0.5


class Gauge(Value, frozen=True, kw_only=True):
    """A value that is measured; `metric` is one whose source is SAMPLED."""

    metric: Metric
    #: Called on the event loop of the process.
    read: Callable[[], float]
    #: Label values, without the name of the process.
    labels: tuple[str, ...] = ()


class ProcessMetrics:
    """Metrics of one process, in memory that every scrape reads."""

    def __init__(self, directory: MetricsDirectory, process: str) -> None:
        """`process`: its name as in the log, `apigw` for example."""
        self.directory = directory
        self._process = process
        self._slots = directory.begin(process)
        self._gauges: list[tuple[Gauge, Counter]] = []
        self._lag = Histogram(LOOP_LAG, self._slots)
        self._lost = Counter(LOG_LOST, self._slots)
        #: To be given to the observers of the process.
        self.listeners: Sequence[tuple[type, Listener]] = MetricsListener(self._slots).listeners()

    def measure(self, *gauges: Gauge) -> None:
        """Measure these too."""
        self._gauges += [(gauge, Counter(gauge.metric, self._slots)) for gauge in gauges]

    async def sample(self) -> None:
        """Measure every SAMPLE_SECONDS until cancelled, also how late the event loop is."""
        loop, process = asyncio.get_running_loop(), (self._process,)
        while True:
            self._sample()
            due = loop.time() + SAMPLE_SECONDS
            await asyncio.sleep(SAMPLE_SECONDS)
            self._lag.observe(process, max(0.0, loop.time() - due))

    def _sample(self) -> None:
        for gauge, counter in self._gauges:
            counter.set(gauge.labels, gauge.read())
        self._lost.set((), nonblocking_output.lost_records())


def open_metrics(data_dir: Path, chosen: Path | None, process: str) -> ProcessMetrics:
    """The metrics of this process; raises OSError if their directory cannot be made."""
    return ProcessMetrics(MetricsDirectory.of(data_dir, chosen), process)


def set_number(fingerprint: str) -> float:
    """The begin of the hash of a plugin set, as a number that a slot can hold."""
    return float(int(fingerprint[:12], 16))


def set_name(number: float) -> str:
    """What `set_number` was given."""
    return f"{int(number):012x}"
