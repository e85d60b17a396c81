"""The table of metrics: names, labels, buckets; for the scrape and the reference page."""

import enum
from collections.abc import Mapping

from qmonus_lite.values import Value

#: Prefix of every name.
PREFIX = "qmonus_lite_"
#: Maximum number of values of these labels in one metric; what comes later is counted as OTHER.
MAX_PLUGINS = 1000
MAX_CODES = 200
MAX_EVENTS = 100
OTHER = "other"


class MetricType(enum.Enum):
    """Type of a metric, as Prometheus names it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class MetricSource(enum.Enum):
    """Where the values of a metric are from."""

    #: Counted in the shared memory of each process; a scrape adds up all, also of ended processes.
    COUNTED = "all processes, also ended ones"
    #: Measured by each process into its shared memory; only of processes that run.
    SAMPLED = "each running process"
    #: Read from /proc at the scrape, for each process that runs.
    PROC = "each running process, from /proc"
    #: Found out by the gateway that is scraped.
    SCRAPED = "the scraped gateway"


class Metric(Value, frozen=True, kw_only=True):
    """One metric."""

    #: Without PREFIX, and without the suffixes `_total` of a counter and `_info` of an info.
    name: str
    kind: MetricType
    source: MetricSource
    help: str
    labels: tuple[str, ...] = ()
    #: Upper bounds in seconds, without infinity.
    buckets: tuple[float, ...] = ()
    #: Maximum number of values of a label whose values are not fixed by the code.
    bounded: Mapping[str, int] = {}

    @property
    def exposed_name(self) -> str:
        """The name of the samples, for queries; that of a histogram has further suffixes."""
        suffix = {MetricType.COUNTER: "_total", MetricType.INFO: "_info"}.get(self.kind, "")
        return PREFIX + self.name + suffix

    @property
    def width(self) -> int:
        """Number of values of a time series: of a histogram its buckets, and the sum."""
        return len(self.buckets) + 2 if self.kind is MetricType.HISTOGRAM else 1


def _counter(name: str, help_: str, *labels: str, **bounded: int) -> Metric:
    return Metric(
        name=name,
        kind=MetricType.COUNTER,
        source=MetricSource.COUNTED,
        help=help_,
        labels=labels,
        bounded=bounded,
    )


def _histogram(
    name: str, help_: str, buckets: tuple[float, ...], *labels: str, **bounded: int
) -> Metric:
    return Metric(
        name=name,
        kind=MetricType.HISTOGRAM,
        source=MetricSource.COUNTED,
        help=help_,
        labels=labels,
        buckets=buckets,
        bounded=bounded,
    )


def _gauge(
    source: MetricSource, name: str, help_: str, *labels: str, kind: MetricType = MetricType.GAUGE
) -> Metric:
    return Metric(name=name, kind=kind, source=source, help=help_, labels=labels)


# Uploads and requests.

UPLOADS = _counter(
    "uploads",
    "uploads that ended: `stored`; `refused`; `failed` (5xx); `cut` (the client left). `code` is"
    " that of the problem, or `plugin` if a plugin refused, which `plugin` names",
    *("outcome", "code", "plugin"),
    code=MAX_CODES,
    plugin=MAX_PLUGINS,
)
UPLOAD_BYTES = _counter("upload_bytes", "bytes of the bodies of uploads that were received")
UPLOAD_SECONDS = _histogram(
    "upload_seconds",
    "from the head of an upload to its response",
    (0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1800),
    "outcome",
)
UPLOADS_ACTIVE = _gauge(
    MetricSource.SAMPLED,
    "uploads_active",
    "uploads under way; `suspended` ones are partial and wait to be resumed",
    "state",
)
REQUESTS = _counter(
    "requests",
    "answered requests, by endpoint (`upload`, `route` of a plugin, `admin`, or `none` for those"
    " refused by their head alone) and class of the status",
    *("endpoint", "status"),
)
QUESTION_SECONDS = _histogram(
    "question_seconds",
    "exchange with a worker about an event that is asked, such as `APIGW.OnFileUploading`",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
    *("event", "outcome"),
    event=MAX_EVENTS,
)

# Events and scripts.

EVENTS = _gauge(
    MetricSource.SCRAPED, "events", "events in the outbox; `dead` are dead letters", "state"
)
EVENTS_OLDEST = _gauge(
    MetricSource.SCRAPED,
    "events_oldest_seconds",
    "age of the oldest event that is not delivered and not dead; 0 without one",
)
DELIVERIES = _histogram(
    "delivery_seconds",
    "attempts to deliver an event: `delivered`, `retry`, `dead`",
    (0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1800),
    "outcome",
)
SCRIPTS = _counter(
    "script_runs",
    "runs of scripts: `returned` (also after `handle.terminate`), `terminated` (raised `Error`),"
    " `failed` (raised anything else), `timed_out`, `cancelled`, `not_run`",
    *("plugin", "outcome"),
    plugin=MAX_PLUGINS,
)
SCRIPT_SECONDS = _histogram(
    "script_seconds",
    "runs of scripts, with the wait for a thread",
    (0.01, 0.1, 1, 10, 60),
    "plugin",
    plugin=MAX_PLUGINS,
)
SCRIPTS_RUNNING = _gauge(MetricSource.SAMPLED, "scripts_running", "scripts that run now", "process")
SCRIPTS_HUNG = _gauge(
    MetricSource.SAMPLED, "scripts_hung", "script threads whose script does not end", "process"
)

# Processes and plugins.

LOOP_LAG = _histogram(
    "loop_lag_seconds",
    "how late the event loop ran a timer, twice a second",
    (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5),
    "process",
)
FSYNC_SECONDS = _histogram(
    "fsync_seconds",
    "fsync calls for files and directories of uploads",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
    "kind",
)
LOG_LOST = _counter(
    "log_records_lost", "log records that were dropped because the reader of the log did not read"
)
PLUGIN_SET = _gauge(
    MetricSource.SAMPLED,
    "plugin_set",
    "begin of the hash of the plugin set in force (`fingerprint` of `/-/plugins`)",
    *("process", "set"),
    kind=MetricType.INFO,
)
PLUGINS = _gauge(MetricSource.SAMPLED, "plugins", "plugins in force", "process")
PLUGIN_FAULTS = _gauge(
    MetricSource.SAMPLED,
    "plugin_faults",
    "faults of the plugin folders as they are now; while there is one, the set in force stays",
    "process",
)
PROCESS_START = _gauge(
    MetricSource.PROC, "process_start_time_seconds", "start, in seconds since the epoch", "process"
)
PROCESS_CPU = Metric(
    name="process_cpu_seconds",
    kind=MetricType.COUNTER,
    source=MetricSource.PROC,
    help="processor time, user and system",
    labels=("process",),
)
PROCESS_MEMORY = _gauge(
    MetricSource.PROC, "process_resident_memory_bytes", "resident memory", "process"
)
PROCESS_THREADS = _gauge(MetricSource.PROC, "process_threads", "threads", "process")
PROCESS_FDS = _gauge(MetricSource.PROC, "process_open_fds", "open file descriptors", "process")
PROCESS_MAX_FDS = _gauge(
    MetricSource.PROC, "process_max_fds", "limit of open file descriptors", "process"
)

# The installation.

READY = _gauge(MetricSource.SCRAPED, "ready", "1 if `/-/ready` says 200, else 0")
WORKERS = _gauge(
    MetricSource.SCRAPED,
    "workers",
    "configured workers: `up`, `away`, `stopped`, `unknown` (never reported)",
    "state",
)
FREE_BYTES = _gauge(
    MetricSource.SCRAPED,
    "free_bytes",
    "free space of the file systems of uploads (`base_dir`) and state (`data_dir`)",
    "directory",
)
MIN_FREE_BYTES = _gauge(MetricSource.SCRAPED, "min_free_bytes", "`--min_free_bytes`")
BUILD = _gauge(
    MetricSource.SCRAPED, "build", "versions", *("version", "python"), kind=MetricType.INFO
)

#: Every metric, in the order of the scrape and of the reference page.
METRICS: tuple[Metric, ...] = (
    UPLOADS,
    UPLOAD_BYTES,
    UPLOAD_SECONDS,
    UPLOADS_ACTIVE,
    REQUESTS,
    QUESTION_SECONDS,
    EVENTS,
    EVENTS_OLDEST,
    DELIVERIES,
    SCRIPTS,
    SCRIPT_SECONDS,
    SCRIPTS_RUNNING,
    SCRIPTS_HUNG,
    LOOP_LAG,
    FSYNC_SECONDS,
    LOG_LOST,
    PLUGIN_SET,
    PLUGINS,
    PLUGIN_FAULTS,
    PROCESS_START,
    PROCESS_CPU,
    PROCESS_MEMORY,
    PROCESS_THREADS,
    PROCESS_FDS,
    PROCESS_MAX_FDS,
    READY,
    WORKERS,
    FREE_BYTES,
    MIN_FREE_BYTES,
    BUILD,
)
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}
