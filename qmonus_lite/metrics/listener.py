"""The listeners of the observations: each counts what it is told in the metrics of this process."""

from collections.abc import Sequence

from qmonus_lite.metrics.definitions import (
    DELIVERIES,
    FSYNC_SECONDS,
    QUESTION_SECONDS,
    REQUESTS,
    SCRIPT_SECONDS,
    SCRIPTS,
    UPLOAD_BYTES,
    UPLOAD_SECONDS,
    UPLOADS,
)
from qmonus_lite.metrics.families import Counter, Histogram
from qmonus_lite.metrics.slots import Slots
from qmonus_lite.observations import (
    DeliveryTried,
    DiskSynced,
    Listener,
    QuestionAnswered,
    RequestAnswered,
    RequestCut,
    ScriptRan,
)

#: Value of `endpoint` of an upload, in observations and in metrics.
UPLOAD = "upload"
#: `code` of an upload that a plugin refused.
BY_PLUGIN = "plugin"
_STORED = ("stored", "", "")
_STORED_SECONDS = ("stored",)


class MetricsListener:
    """Counts the observations of this process."""

    def __init__(self, slots: Slots) -> None:
        self._uploads = Counter(UPLOADS, slots)
        self._upload_bytes = Counter(UPLOAD_BYTES, slots)
        self._upload_seconds = Histogram(UPLOAD_SECONDS, slots)
        self._requests = Counter(REQUESTS, slots)
        #: Slots of REQUESTS by endpoint and status.
        self._request_slots: dict[tuple[str, int], int] = {}
        self._slots = slots
        # Looked up once: most uploads are stored.
        self._bytes_at = self._upload_bytes[()]
        self._stored_at = self._uploads[_STORED]
        self._stored_seconds_at = self._upload_seconds[_STORED_SECONDS]
        self._questions = Histogram(QUESTION_SECONDS, slots)
        self._deliveries = Histogram(DELIVERIES, slots)
        self._scripts = Counter(SCRIPTS, slots)
        self._script_seconds = Histogram(SCRIPT_SECONDS, slots)
        self._fsyncs = Histogram(FSYNC_SECONDS, slots)

    def listeners(self) -> Sequence[tuple[type, Listener]]:
        """The listeners, each with the class of observations that it counts."""
        return (
            (RequestAnswered, self._answered),
            (RequestCut, self._cut),
            (QuestionAnswered, self._asked),
            (DeliveryTried, self._delivered),
            (ScriptRan, self._ran),
            (DiskSynced, self._synced),
        )

    def _answered(self, answered: RequestAnswered) -> None:
        endpoint, status = answered.endpoint, answered.status
        at = self._request_slots.get((endpoint, status))
        if at is None:
            at = self._requests[endpoint or "none", f"{status // 100}xx"]
            self._request_slots[endpoint, status] = at
        slots, values = self._slots, self._slots.values
        if endpoint == UPLOAD and answered.stored_path:
            seconds = answered.seconds
            bucket = self._upload_seconds.bucket(self._stored_seconds_at, seconds)
            with slots.lock:
                values[at] += 1.0
                values[self._bytes_at] += answered.bytes
                values[self._stored_at] += 1.0
                values[bucket] += 1.0
                values[self._stored_seconds_at + self._upload_seconds.sum_at] += seconds
            return
        with slots.lock:
            values[at] += 1.0
        if endpoint == UPLOAD:
            self._not_stored(answered)

    def _not_stored(self, answered: RequestAnswered) -> None:
        outcome = "failed" if answered.status >= 500 else "refused"
        refusal = answered.refusal
        plugin = (refusal and refusal.plugin) or ""
        code = BY_PLUGIN if plugin else (refusal.rule if refusal else "")
        self._upload_bytes.add((), answered.bytes)
        self._uploads.add((outcome, code, plugin))
        self._upload_seconds.observe((outcome,), answered.seconds)

    def _cut(self, cut: RequestCut) -> None:
        if cut.endpoint == UPLOAD:
            self._upload_bytes.add((), cut.bytes)
            self._uploads.add(("cut", "", ""))
            self._upload_seconds.observe(("cut",), cut.seconds)

    def _asked(self, asked: QuestionAnswered) -> None:
        self._questions.observe((asked.event, asked.outcome), asked.seconds)

    def _delivered(self, tried: DeliveryTried) -> None:
        self._deliveries.observe((tried.outcome,), tried.seconds)

    def _ran(self, ran: ScriptRan) -> None:
        self._scripts.add((ran.plugin, ran.outcome))
        self._script_seconds.observe((ran.plugin,), ran.seconds)

    def _synced(self, synced: DiskSynced) -> None:
        self._fsyncs.observe((synced.kind,), synced.seconds)
