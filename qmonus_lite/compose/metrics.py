"""Composition of the metrics of a process."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from qmonus_lite.errors import BadResource
from qmonus_lite.metrics import definitions
from qmonus_lite.metrics.directory import MetricsDirectory
from qmonus_lite.metrics.process import Gauge, ProcessMetrics, open_metrics, set_number
from qmonus_lite.observations import Listener, Observers
from qmonus_lite.settings.table import Settings
from qmonus_lite.uploads.lifecycle import UploadState

# The writer, which measures none of these, does not import them.
if TYPE_CHECKING:
    from qmonus_lite.catalog.live import Live
    from qmonus_lite.scripting.script_threads import ScriptThreads
    from qmonus_lite.uploads.active import ActiveUpload

#: Value of the label `state` by state of an upload.
_UPLOAD_STATES = {
    UploadState.CREATED: "receiving",
    UploadState.RECEIVING: "receiving",
    UploadState.SEALED: "committing",
    UploadState.SUSPENDED: "suspended",
}


class OwnMetrics:
    """The metrics of this process, or none with `--metrics=off`."""

    def __init__(self, settings: Settings, process: str) -> None:
        """`process`: its name, as in the log. Raises BadResource."""
        self._metrics = _opened(settings, process) if settings.metrics.metrics == "on" else None

    def observers(self, *others: tuple[type, Listener]) -> Observers:
        """The observers of the process: its metrics, and others."""
        return Observers([*others, *(self._metrics.listeners if self._metrics else ())])

    @property
    def sampling(self) -> Callable[[], Coroutine[Any, Any, None]] | None:
        """The background task that measures, if there are metrics."""
        return self._metrics.sample if self._metrics else None

    def measure_plugins(self, live: "Live") -> None:
        """Measure the plugin set and its faults."""
        self._measure(
            Gauge(metric=definitions.PLUGIN_SET, read=lambda: set_number(live.catalog.fingerprint)),
            Gauge(metric=definitions.PLUGINS, read=lambda: len(live.catalog.listed)),
            Gauge(metric=definitions.PLUGIN_FAULTS, read=lambda: len(live.faults)),
        )

    def measure_scripts(self, *pools: "ScriptThreads") -> None:
        """Measure the scripts that run or hang."""
        self._measure(
            Gauge(metric=definitions.SCRIPTS_RUNNING, read=lambda: sum(p.busy for p in pools)),
            Gauge(metric=definitions.SCRIPTS_HUNG, read=lambda: sum(p.hung for p in pools)),
        )

    def measure_uploads(self, under_way: "set[ActiveUpload]") -> None:
        """Measure the uploads under way, by state."""
        for name in dict.fromkeys(_UPLOAD_STATES.values()):
            count = partial(_count, under_way, name)
            self._measure(Gauge(metric=definitions.UPLOADS_ACTIVE, labels=(name,), read=count))

    @property
    def directory(self) -> MetricsDirectory | None:
        """The metrics of all processes of the installation, if there are metrics."""
        return self._metrics.directory if self._metrics else None

    def _measure(self, *gauges: Gauge) -> None:
        if self._metrics is not None:
            self._metrics.measure(*gauges)


def _opened(settings: Settings, process: str) -> ProcessMetrics:
    chosen = settings.metrics.metrics_dir
    try:
        return open_metrics(settings.storage.state_dir, chosen, process)
    except OSError as error:
        raise BadResource(
            f"--metrics_dir={chosen}: cannot be made: {error.strerror}; choose a directory that"
            " this user may write to"
        ) from None


def _count(under_way: "set[ActiveUpload]", name: str) -> float:
    return sum(_UPLOAD_STATES.get(upload.state) == name for upload in under_way)
