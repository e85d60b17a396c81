"""Composition of the endpoint of scrapes, which gateways have and other processes do not."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from qmonus_lite.apigw.admin.metrics import MetricsResource
from qmonus_lite.clock import Clock
from qmonus_lite.events.workers import WorkerRegistry
from qmonus_lite.metrics.directory import MetricsDirectory
from qmonus_lite.settings.table import Settings
from qmonus_lite.values import Value
from qmonus_lite.writer.service import CommitService


class MetricsParts(Value, frozen=True, kw_only=True):
    """What a scrape asks beside the metrics of the processes."""

    settings: Settings
    commits: CommitService
    registry: WorkerRegistry
    clock: Clock
    #: Why this APIGW is not ready, or None.
    unready: Callable[[], str | None]


def metrics_resource(directory: MetricsDirectory | None, parts: MetricsParts) -> MetricsResource:
    """The endpoint; without a directory it answers that no metrics are counted."""
    storage = parts.settings.storage
    return MetricsResource(
        directory=directory,
        commits=parts.commits,
        registry=parts.registry,
        clock=parts.clock,
        unready=parts.unready,
        watched={"base_dir": storage.root, "data_dir": storage.state_dir},
        min_free_bytes=storage.min_free_bytes,
        # A thread of its own: a disk that stands still holds up scrapes, and nothing else.
        thread=ThreadPoolExecutor(1, thread_name_prefix="metrics"),
    )
