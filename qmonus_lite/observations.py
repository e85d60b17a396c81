"""Observations: what happened, as frozen values for listeners (access log, metrics, records).

Code that does the work makes a value and calls `Observers.notify`; it does not know who listens.
`compose` gives the listeners of a process.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from qmonus_lite.errors import Refusal
from qmonus_lite.trace_context import trace_id_of
from qmonus_lite.values import Value

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """What is known of a request by the time it is answered; filled in while it is processed."""

    request_id: str = ""
    #: Span of this request (`trace_context`), if a trusted proxy or a callout gave one; else empty.
    traceparent: str = ""
    #: Empty until the request opens an upload.
    upload_id: str = ""
    #: Name of the account of the request's credential, or None.
    account: str | None = None
    #: Why the request was refused, or None.
    refusal: Refusal | None = None
    #: Bytes of the upload's body that were received so far.
    bytes: int = 0
    #: Path of the stored file, empty unless the request stored one.
    stored_path: str = ""

    @property
    def trace_id(self) -> str:
        """Trace id of W3C Trace Context, 32 hexadecimal digits, or empty."""
        return trace_id_of(self.traceparent)


class RequestAnswered(Value, frozen=True, kw_only=True):
    """A request of APIGW was answered."""

    method: str
    #: Undecoded, as in the request line, without the query.
    path: str
    status: int
    #: From the request head to the response.
    seconds: float
    #: Client address.
    peer: str
    request_id: str
    #: As in RequestRecord.
    traceparent: str = ""
    #: Empty if the request opened no upload.
    upload_id: str = ""
    account: str | None = None
    refusal: Refusal | None = None
    #: As in RequestRecord.
    bytes: int = 0
    stored_path: str = ""

    @property
    def trace_id(self) -> str:
        """Trace id of W3C Trace Context, or empty."""
        return trace_id_of(self.traceparent)


class UploadDecided(Value, frozen=True, kw_only=True):
    """An upload was allowed or refused by its `OnFileUploading` event or by the default rule."""

    request_id: str
    #: Empty if no trusted proxy or callout gave one.
    trace_id: str = ""
    #: Empty if it was refused.
    upload_id: str
    path: str
    account: str | None
    #: `allowed`, or the stable code of the refusal.
    outcome: str
    seconds: float


class UploadStored(Value, frozen=True, kw_only=True):
    """A file was published at its path."""

    request_id: str
    upload_id: str
    path: str
    length: int
    #: Whether a file at the path was replaced.
    replaced: bool
    #: From the request head until the file was published.
    seconds: float


class DeliveryTried(Value, frozen=True, kw_only=True):
    """One attempt to deliver an event to a worker ended."""

    event_id: str
    event: str
    #: 1 for the first attempt.
    attempt: int
    #: `delivered`, `retry` or `dead`.
    outcome: str
    seconds: float


class ScriptRan(Value, frozen=True, kw_only=True):
    """A script of a plugin ended."""

    plugin: str
    #: Key of the script in the plugin, `script` for example.
    script: str
    #: `returned`, `terminated` (it raised Error or HTTPError), `failed` (any other exception),
    #: `timed_out`, `cancelled` (its request ended first) or `not_run` (too many scripts hang).
    outcome: str
    #: From the request for a thread to the end.
    seconds: float


Observation = RequestAnswered | UploadDecided | UploadStored | DeliveryTried | ScriptRan
#: Called with the values of the class that it was given for, and with no others.
Listener = Callable[[Any], None]


class Observers:
    """The listeners of a process; a listener that raises is logged and the others are called."""

    def __init__(self, listeners: Iterable[tuple[type, Listener]] = ()) -> None:
        """`listeners`: pairs of a class of observation and who is called with its values."""
        self._listeners: dict[type, tuple[Listener, ...]] = {}
        for kind, listener in listeners:
            self._listeners[kind] = (*self._listeners.get(kind, ()), listener)

    def wants(self, kind: type) -> bool:
        """Whether anyone listens to this class; making a value can be saved if not."""
        return kind in self._listeners

    def notify(self, observation: Observation) -> None:
        """Call the listeners of the class of `observation`, in the order they were given."""
        for listener in self._listeners.get(type(observation), ()):
            try:
                listener(observation)
            except Exception:
                logger.exception("a listener failed", extra={"action": "listener_failed"})


NO_OBSERVERS = Observers()
