"""The handle: what a handler can do to the chain it is part of."""

import logging
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qmonus_lite.errors import Refusal
from qmonus_lite.events.envelope import Ids
from qmonus_lite.headers import BadFields, answer_fields
from qmonus_lite.redaction import redact
from qmonus_lite.scripting.builtins.raising import Error
from qmonus_lite.scripting.origin import line_now
from qmonus_lite.scripting.runner import MAX_REASON

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Termination:
    """The end of a chain, as a handler wants it."""

    code: int
    output: Any
    #: Header fields for the answer to a client.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Who ended it and where.
    refusal: Refusal | None = None


class Handle:
    """Given to a handler beside the event."""

    def __init__(self, where: Refusal, ids: Ids) -> None:
        """`where`: plugin, file and first line of the handler."""
        self.event_id = ids.event_id
        self.attempt = ids.attempt
        self.request_id = ids.request_id
        self.upload_id = ids.upload_id
        self._where = where
        self._closed = False
        #: Calls that were understood, in their order, and the first one that was not.
        self._called: list[Termination] = []
        self._bad: Termination | None = None

    def terminate(
        self,
        code: int = 200,
        output: object = None,
        headers: Mapping[str, str] | None = None,
        *more: object,
        **other: object,
    ) -> "Done":
        """End the chain with this code, output and header fields; may be awaited, need not be.

        Raises Error(500) for a code that is no status from 200 to 599, for header fields that
        cannot be sent, and for other arguments: a TypeError that a script swallows would be a yes.
        """
        line = line_now(self._where.file) or self._where.line
        where = replace(self._where, line=line)
        if self._closed:
            _log(where, "terminate_too_late", f"terminate({code!r}) after the handler had ended")
            return Done()
        if more or other:
            raise self._misused(where, "terminate takes code, output and headers, nothing else")
        try:
            status, fields = _status(code), answer_fields(headers)
        except (BadFields, ValueError) as error:
            raise self._misused(where, f"terminate: {error}") from None
        refusal = replace(where, rule="terminate", reason=_reason(output))
        end = Termination(code=status, output=output, headers=fields, refusal=refusal)
        self._called.append(end)
        return Done()

    def close(self) -> None:
        """The handler has ended: what is called from now on comes too late."""
        self._closed = True

    @property
    def termination(self) -> Termination | None:
        """The first call of all."""
        return self._called[0] if self._called else None

    @property
    def refusal(self) -> Termination | None:
        """What refuses in a gate: the first call of 300 and above, else one that was no call."""
        return next((end for end in self._called if end.code >= 300), self._bad)

    def _misused(self, where: Refusal, reason: str) -> Error:
        _log(where, "terminate_misused", reason)
        if self._bad is None:
            refusal = replace(where, rule="bad-terminate", reason=redact(reason)[:MAX_REASON])
            self._bad = Termination(code=500, output=reason, refusal=refusal)
        return Error(500, reason)


class Done:
    """What `terminate` gives: may be awaited, and is done already."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield from ()


def _status(code: object) -> int:
    # HTTPStatus is a whole number; True is one to Python only.
    if not isinstance(code, int) or isinstance(code, bool) or not 200 <= code <= 599:
        raise ValueError(f"{code!r} is no status from 200 to 599")
    return int.__int__(code)


def _reason(output: object) -> str:
    """The beginning of what the client reads, for the record."""
    return redact(output)[:MAX_REASON].strip() if isinstance(output, str) else ""


def _log(where: Refusal, action: str, reason: str) -> None:
    extra = {"action": action, "plugin": where.plugin, "file": where.file, "line": where.line}
    logger.error("%s: %s", where.plugin, reason, extra=extra)
