"""Outcome of an event and report of a worker: the JSON response format of the workers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.errors import Problem, Refusal, Terminated, script_problem
from qmonus_lite.events.envelope import FIRST_PROTOCOL, PROTOCOL
from qmonus_lite.events.published import PublishedEvent, published_of
from qmonus_lite.headers import BadFields, answer_fields
from qmonus_lite.values import Value, as_dict

#: Maximum bytes of the event and the output together; a transport adds less than 1 MiB.
MAX_OUTCOME_BYTES = 4 << 20
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class BadOutcome(Exception):
    """A response that is not a valid outcome or report."""


class Outcome(Value, frozen=True, kw_only=True):
    """Result of the handlers of an event."""

    #: Status code: of `terminate`, of the exception of a handler, or 200.
    code: int
    #: Output of `terminate`, or the body or reason of the exception.
    output: Any
    #: The event as modified by the handlers.
    event: dict[str, Any]
    #: Names of the handlers that ran, in order.
    handlers: tuple[str, ...] = ()
    #: Header fields of `terminate`, for the response to the client.
    headers: Mapping[str, str] = _NO_HEADERS
    #: Which handler refused, where and why.
    refusal: Refusal | None = None
    #: Whether a handler failed: code and output are not its own, and not for clients.
    failed: bool = False
    #: What its scripts published, to be stored unless it is refused.
    published: tuple[PublishedEvent, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the handlers of a message failed."""
        return self.code >= 400

    @property
    def denied(self) -> bool:
        """Whether the handlers of a gate refused: a code from 300 is sent to the client."""
        return self.code >= 300

    def as_error(self) -> Problem | Terminated:
        """The exception that ends the request that a gate refused."""
        headers, refusal = self.headers, self.refusal
        if self.failed:
            return script_problem(self.code, refusal or Refusal())
        return Terminated(self.code, self.output, headers=headers, refusal=refusal)

    def to_json(self) -> dict[str, Any]:
        """The JSON value that is transmitted."""
        value = {
            "code": self.code,
            "output": self.output,
            "event": self.event,
            "handlers": list(self.handlers),
        }
        if self.headers:
            value["headers"] = dict(self.headers)
        if self.refusal is not None:
            value["refusal"] = as_dict(self.refusal)
        if self.failed:
            value["failed"] = True
        if self.published:
            value["published"] = [event.to_json() for event in self.published]
        return value

    @classmethod
    def from_json(cls, value: Any) -> "Outcome":
        """Parse the transmitted JSON value; raises BadOutcome."""
        try:
            code, event, handlers = value["code"], value["event"], value["handlers"]
        except (KeyError, TypeError):
            raise BadOutcome("a key is missing") from None
        # type() rather than isinstance(): bool is a subclass of int.
        if type(code) is not int or not 200 <= code <= 599:
            raise BadOutcome(f"code is {code!r}")
        if not isinstance(event, dict) or not isinstance(handlers, list):
            raise BadOutcome("event or handlers has another type")
        return cls(
            code=code,
            output=value.get("output"),
            event=event,
            handlers=tuple(map(str, handlers)),
            headers=_headers(value.get("headers")),
            refusal=_refusal(value.get("refusal")),
            failed=value.get("failed") is True,
            published=_published(value.get("published")),
        )


def _headers(given: Any) -> Mapping[str, str]:
    """Validate the headers, absent if `terminate` set none; raises BadOutcome."""
    if given is None:
        return _NO_HEADERS
    try:
        fields = answer_fields(given)
    except BadFields as error:
        raise BadOutcome(str(error)) from None
    if fields != given:
        raise BadOutcome("headers are not as a worker writes them")
    return fields


def _published(given: Any) -> tuple[PublishedEvent, ...]:
    """Read the published events; raises BadOutcome."""
    try:
        return published_of(given)
    except ValueError as error:
        raise BadOutcome(str(error)) from None


def _refusal(given: Any) -> Refusal | None:
    """Parse the refusal: absent from older workers, null if none; raises BadOutcome."""
    if given is None:
        return None
    texts = ("file", "rule", "reason")
    if not isinstance(given, dict) or set(given) != {"plugin", "line", *texts}:
        raise BadOutcome("refusal has other keys")
    plugin, line = given["plugin"], given["line"]
    if type(line) is not int or line < 0 or not isinstance(plugin, (str, type(None))):
        raise BadOutcome("plugin or line of refusal has another type")
    if not all(isinstance(given[name], str) for name in texts):
        raise BadOutcome("a text of refusal has another type")
    return Refusal(**given)


class Report(Value, frozen=True, kw_only=True):
    """Response of a worker: the outcome, if an event was sent, and the events that it handles."""

    #: Names of the events for which this worker has handlers.
    handles: frozenset[str]
    #: Changes when `handles` may have changed.
    generation: str
    outcome: Outcome | None = None
    #: Whether it is shutting down and accepts no more requests; other workers may handle events.
    stopping: bool = False
    #: Version of the protocol that the worker speaks.
    protocol: int = PROTOCOL

    def to_bytes(self) -> bytes:
        """Serialize to JSON; raises TypeError or ValueError for unserializable values."""
        value = {
            "handles": sorted(self.handles),
            "generation": self.generation,
            "outcome": self.outcome.to_json() if self.outcome else None,
            "stopping": self.stopping,
            "protocol": self.protocol,
        }
        return strictjson.write(value).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Report":
        """Parse from JSON; raises BadOutcome."""
        try:
            value = strictjson.read(raw)
            handles, generation = value["handles"], value["generation"]
            outcome = value["outcome"]
            stopping = value.get("stopping") is True
            protocol = value.get("protocol", FIRST_PROTOCOL)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BadOutcome("not the JSON of a worker") from None
        if not isinstance(handles, list) or not isinstance(generation, str):
            raise BadOutcome("handles or generation has another type")
        if type(protocol) is not int:
            raise BadOutcome("protocol has another type")
        return cls(
            handles=frozenset(map(str, handles)),
            generation=generation,
            outcome=None if outcome is None else Outcome.from_json(outcome),
            stopping=stopping,
            protocol=protocol,
        )
