"""The answer to a scrape: the metrics of all processes in the text formats of Prometheus."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from qmonus_lite.metrics import definitions
from qmonus_lite.metrics.definitions import (
    METRICS,
    PLUGIN_SET,
    PREFIX,
    Metric,
    MetricSource,
    MetricType,
)
from qmonus_lite.metrics.directory import MetricsDirectory, RunningProcess, Snapshot
from qmonus_lite.metrics.families import SEPARATOR
from qmonus_lite.metrics.process import set_name
from qmonus_lite.metrics.procfs import usage

#: A time series: label values, and one value, or those of a histogram.
Series = tuple[tuple[str, ...], Sequence[float]]
#: Time series by metric.
Table = dict[str, list[Series]]
#: What the scraped gateway found out: value by label values, by name of the metric.
Scraped = Mapping[str, Mapping[tuple[str, ...], float]]

#: Formats that a scrape may ask for by `Accept`.
MEDIA_TYPES = ("text/plain", "application/openmetrics-text")


def expose(directory: MetricsDirectory, scraped: Scraped, accept: str) -> tuple[bytes, str]:
    """Body and content type of the answer; `scraped` has the metrics of this gateway.

    Blocks; raises OSError if the directory cannot be read.
    """
    table = tabulate(directory.snapshot())
    for name, values in scraped.items():
        table[name] = [(labels, (value,)) for labels, value in values.items()]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_TableCollector(table))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def tabulate(snapshot: Snapshot) -> Table:
    """The time series of all processes."""
    table: Table = {}
    for key, value in snapshot.counted.items():
        name, *labels = key.split(SEPARATOR)
        table.setdefault(name, []).append((tuple(labels), value))
    # Of two processes of one name, the older one is on its way out.
    running = {process.name: process for process in sorted(snapshot.running, key=_age)}
    sums: dict[str, dict[tuple[str, ...], float]] = {}
    for process in running.values():
        for metric, label_values, number in (*_sampled(process), *_used(process)):
            series = sums.setdefault(metric.name, {})
            series[label_values] = series.get(label_values, 0.0) + number
    for name, series in sums.items():
        table[name] = [(label_values, (number,)) for label_values, number in series.items()]
    return table


def _age(process: RunningProcess) -> int:
    return process.started


def _sampled(process: RunningProcess) -> Iterator[tuple[Metric, tuple[str, ...], float]]:
    for key, value in process.values.items():
        name, *labels = key.split(SEPARATOR)
        metric = definitions.BY_NAME.get(name)
        if metric is None or metric.source is not MetricSource.SAMPLED:
            continue
        if metric is PLUGIN_SET:
            yield metric, (process.name, set_name(value[0])), 1.0
        elif metric.labels[:1] == ("process",):
            yield metric, (process.name, *labels), value[0]
        else:
            yield metric, tuple(labels), value[0]


def _used(process: RunningProcess) -> Iterator[tuple[Metric, tuple[str, ...], float]]:
    used = usage(process.pid, process.started)
    if used is None:
        return
    labels = (process.name,)
    yield definitions.PROCESS_START, labels, used.start_time
    yield definitions.PROCESS_CPU, labels, used.cpu_seconds
    yield definitions.PROCESS_MEMORY, labels, used.resident_bytes
    yield definitions.PROCESS_THREADS, labels, used.threads
    yield definitions.PROCESS_FDS, labels, used.open_fds
    yield definitions.PROCESS_MAX_FDS, labels, used.max_fds


class _TableCollector(Collector):
    """Gives a table to the encoders of prometheus_client."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def collect(self) -> Iterator[MetricFamily]:
        for metric in METRICS:
            yield _family(metric, self._table.get(metric.name, ()))


def _family(metric: Metric, series: Sequence[Series]) -> MetricFamily:
    name, help_ = PREFIX + metric.name, metric.help.replace("`", "'")
    if metric.kind is MetricType.HISTOGRAM:
        return _histogram(metric, name, help_, series)
    if metric.kind is MetricType.INFO:
        info = InfoMetricFamily(name, help_)
        for labels, _ in series:
            info.add_metric((), dict(zip(metric.labels, labels, strict=True)))
        return info
    kind = CounterMetricFamily if metric.kind is MetricType.COUNTER else GaugeMetricFamily
    family = kind(name, help_, labels=metric.labels)
    for labels, value in series:
        family.add_metric(labels, value[0])
    return family


def _histogram(
    metric: Metric, name: str, help_: str, series: Sequence[Series]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, help_, labels=metric.labels)
    bounds = [*map(floatToGoString, metric.buckets), "+Inf"]
    for labels, values in series:
        total, buckets = 0.0, []
        for bound, count in zip(bounds, values[:-1], strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric(labels, buckets, values[-1])
    return family
