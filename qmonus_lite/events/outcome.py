"""What became of one event: the answer of a worker, as both sides read it."""

from dataclasses import dataclass
from typing import Any

from qmonus_lite import strictjson


class BadOutcome(Exception):
    """An answer that does not have the form of an outcome."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the handlers of an event ended."""

    #: Status: of `terminate`, of what a handler raised, or 200.
    code: int
    #: Output of `terminate`, or the body or reason of what was raised.
    output: Any
    #: The event as the handlers left it.
    event: dict[str, Any]
    #: Names of the handlers that ran, in order.
    handlers: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the handlers said no, or failed."""
        return self.code >= 400

    def to_json(self) -> dict[str, Any]:
        """The form on the wire."""
        return {
            "code": self.code,
            "output": self.output,
            "event": self.event,
            "handlers": list(self.handlers),
        }

    @classmethod
    def from_json(cls, value: Any) -> "Outcome":
        """Read the form on the wire; raises BadOutcome."""
        try:
            code, event, handlers = value["code"], value["event"], value["handlers"]
        except (KeyError, TypeError):
            raise BadOutcome("a key is missing") from None
        # bool is an int to Python, and no status.
        if type(code) is not int or not 200 <= code <= 599:
            raise BadOutcome(f"code is {code!r}")
        if not isinstance(event, dict) or not isinstance(handlers, list):
            raise BadOutcome("event or handlers has another type")
        names = tuple(map(str, handlers))
        return cls(code=code, output=value.get("output"), event=event, handlers=names)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A worker's whole answer: an outcome, if it was asked for one, and what it can handle."""

    #: Names of the events that this worker has handlers for.
    handles: frozenset[str]
    #: Changes when `handles` may have changed.
    generation: str
    outcome: Outcome | None = None
    #: It takes nothing more and will end: what it handled may be handled by others from now on.
    stopping: bool = False

    def to_bytes(self) -> bytes:
        """The JSON form; raises TypeError or ValueError for what JSON cannot hold."""
        value = {
            "handles": sorted(self.handles),
            "generation": self.generation,
            "outcome": self.outcome.to_json() if self.outcome else None,
            "stopping": self.stopping,
        }
        return strictjson.write(value).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Report":
        """Read the JSON form; raises BadOutcome."""
        try:
            value = strictjson.read(raw)
            handles, generation = value["handles"], value["generation"]
            outcome = value["outcome"]
            stopping = value.get("stopping") is True
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BadOutcome("not the JSON of a worker") from None
        if not isinstance(handles, list) or not isinstance(generation, str):
            raise BadOutcome("handles or generation has another type")
        return cls(
            handles=frozenset(map(str, handles)),
            generation=generation,
            outcome=None if outcome is None else Outcome.from_json(outcome),
            stopping=stopping,
        )
