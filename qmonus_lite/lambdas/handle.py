"""The handle: through which a handler ends the chain."""

import logging
from collections.abc import Generator, Mapping
from typing import Any

from qmonus_lite.errors import Refusal
from qmonus_lite.events.envelope import Ids
from qmonus_lite.headers import BadFields, answer_fields
from qmonus_lite.redaction import redact
from qmonus_lite.scripting.builtins.raising import Error
from qmonus_lite.scripting.origin import line_now
from qmonus_lite.scripting.runner import MAX_REASON
from qmonus_lite.surrogates import escape_surrogates
from qmonus_lite.values import Value, changed, field

logger = logging.getLogger(__name__)


class Termination(Value, frozen=True, kw_only=True):
    """The end of a chain, as requested by a handler."""

    code: int
    output: Any
    #: Header fields for the answer to a client.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Plugin, file, line and rule that ended it.
    refusal: Refusal | None = None
    #: Whether the handler failed, so that the code and output are not its own.
    failed: bool = False


class Handle:
    """Passed to a handler along with the event."""

    def __init__(self, where: Refusal, ids: Ids) -> None:
        """`where`: plugin, file and first line of the handler."""
        self.event_id = ids.event_id
        self.attempt = ids.attempt
        self.request_id = ids.request_id
        self.upload_id = ids.upload_id
        #: Span of this run (W3C Trace Context), or empty.
        self.traceparent = ids.traceparent
        self._where = where
        self._closed = False
        #: Valid calls of `terminate` in order, and the first invalid one.
        self._called: list[Termination] = []
        self._bad: Termination | None = None

    def terminate(
        self,
        code: int = 200,
        output: object = None,
        headers: Mapping[str, str] | None = None,
        *more: object,
        **other: object,
    ) -> "CompletedAwaitable":
        """End the chain with this code, output and header fields; awaiting it is optional.

        Raises Error(500) for a code outside of 200 to 599, for invalid header fields, and for other
        arguments: a TypeError that a script catches would allow the upload.
        """
        line = line_now(self._where.file) or self._where.line
        where = changed(self._where, line=line)
        if self._closed:
            _log(where, "terminate_too_late", f"terminate({code!r}) after the handler had ended")
            return CompletedAwaitable()
        if more or other:
            raise self._misused(where, "terminate takes code, output and headers, nothing else")
        try:
            status, fields = _status(code), answer_fields(headers)
        except (BadFields, ValueError) as error:
            raise self._misused(where, f"terminate: {error}") from None
        refusal = changed(where, rule="terminate", reason=_reason(output))
        end = Termination(code=status, output=output, headers=fields, refusal=refusal)
        self._called.append(end)
        return CompletedAwaitable()

    def close(self) -> None:
        """The handler has ended: later calls of `terminate` are logged and ignored."""
        self._closed = True

    @property
    def termination(self) -> Termination | None:
        """The first valid call of `terminate`, or None."""
        return self._called[0] if self._called else None

    @property
    def refusal(self) -> Termination | None:
        """Refusal of a gate: the first call with a code from 300, else the first invalid call."""
        return next((end for end in self._called if end.code >= 300), self._bad)

    def _misused(self, where: Refusal, reason: str) -> Error:
        _log(where, "terminate_misused", reason)
        if self._bad is None:
            refusal = changed(where, rule="bad-terminate", reason=_reason(reason))
            self._bad = Termination(code=500, output=reason, refusal=refusal, failed=True)
        return Error(500, reason)


class CompletedAwaitable:
    """Result of `terminate`: an awaitable that is already done."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield from ()


def _status(code: object) -> int:
    # HTTPStatus is an int; bool is a subclass of int, but no status.
    if not isinstance(code, int) or isinstance(code, bool) or not 200 <= code <= 599:
        raise ValueError(f"{code!r} is no status from 200 to 599")
    return int.__int__(code)


def _reason(output: object) -> str:
    """The beginning of the response text, for the record."""
    return escape_surrogates(redact(output)[:MAX_REASON].strip()) if isinstance(output, str) else ""


def _log(where: Refusal, action: str, reason: str) -> None:
    extra = {"action": action, "plugin": where.plugin, "file": where.file, "line": where.line}
    logger.error("%s: %s", where.plugin, reason, extra=extra)
