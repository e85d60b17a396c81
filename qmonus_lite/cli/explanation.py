"""The text of `why`: a record as an explanation for a person."""

import re
from collections.abc import Iterator, Sequence

from qmonus_lite.control_characters import CONTROLS, DIRECTION_MARKS, SEPARATORS
from qmonus_lite.observations import RanHandler
from qmonus_lite.records.record import AttemptRecord, Cause, Durations, Record, RecordDetail
from qmonus_lite.values import Value

_RED, _GREEN, _YELLOW, _DIM, _END = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
_COLOURS = {
    "refused": _RED,
    "dead": _RED,
    "cut": _YELLOW,
    "retrying": _YELLOW,
    "retry": _YELLOW,
    "answered": _YELLOW,
    "stored": _GREEN,
    "delivered": _GREEN,
}
#: Width of the column of names.
_WIDTH = 10
#: Codes of a refusal whose status the plugin chose.
_CHOSEN = frozenset({"terminate", "Error", "HTTPError"})
#: What a terminal may obey, or what breaks a line.
_UNPRINTABLE = re.compile(f"[{CONTROLS}{SEPARATORS}{DIRECTION_MARKS}]")


class Style(Value, frozen=True, kw_only=True):
    """How text is shown."""

    colours: bool

    def coloured(self, text: str, state: str) -> str:
        """The text in the colour of a state."""
        return f"{_COLOURS[state]}{text}{_END}" if self.colours else text

    def dim(self, text: str) -> str:
        """The text as a label."""
        return f"{_DIM}{text}{_END}" if self.colours else text


def explain(record: RecordDetail, style: Style) -> str:
    """Lines about a request: a sentence, then who, where, how long, and its event."""
    lines = [style.coloured(_sentence(record), record.state)]
    lines += [_line(style, name, text) for name, text in _facts(record)]
    lines += [_line(style, name, text) for name, text in _handlers("handler", record.handlers)]
    lines += _attempt_lines(record.attempts, style)
    return "".join(f"{line}\n" for line in lines)


def explain_attempts(attempts: Sequence[AttemptRecord], style: Style) -> str:
    """Lines about an event of which no upload or request is recorded."""
    last = attempts[-1]
    lines = [style.coloured(f"{last.outcome}, attempt {last.number}", last.outcome)]
    lines += _attempt_lines(attempts, style)
    return "".join(f"{line}\n" for line in lines)


def _sentence(record: RecordDetail) -> str:
    cause = record.cause
    if record.state == "refused" and cause is not None:
        return _refused(cause, record.status or 0)
    if record.state == "cut":
        return f"Cut off by its client after {record.bytes:,} bytes; nothing was stored"
    if record.state == "answered":
        return f"Answered with {record.status}"
    stored = f"Stored at {_safe(record.path)}"
    own = [attempt for attempt in record.attempts if attempt.event_id == record.event_id]
    tries = f"{len(own)} attempt{'' if len(own) == 1 else 's'}"
    return {
        "delivered": f"{stored}, and its event was delivered",
        "retrying": f"{stored}; its event is not delivered after {tries}, and is tried again",
        "dead": f"{stored}; its event was given up after {tries}: a dead letter",
    }.get(record.state, f"{stored}; its event waits for delivery" if record.event_id else stored)


def _refused(cause: Cause, status: int) -> str:
    code, plugin = _safe(cause.code), _safe(cause.plugin or "")
    reason = _safe(cause.reason) or code
    if not plugin:
        return f"Refused with {status}: {reason}"
    if status >= 500 and cause.code not in _CHOSEN:
        return f"Refused with {status}, as plugin {plugin} failed: {code}: {reason}"
    return f"Refused with {status} by plugin {plugin}: {reason}"


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    yield "what", f"{record.method} {_safe(record.asked)}"
    yield "when", record.time
    account = "no account" if record.account is None else f"account {_safe(record.account)}"
    yield "who", f"{account}, from {record.peer}"
    if record.cause is not None:
        yield from _cause(record.cause)
    yield "took", _took(record.seconds)
    if record.upload_id is not None:
        yield "bytes", f"{record.bytes:,}"
    ids = ("request_id", "upload_id", "event_id", "trace_id", "digest")
    for name in ids:
        if (value := getattr(record, name)) is not None:
            yield name.removesuffix("_id"), _safe(value)


def _cause(cause: Cause) -> Iterator[tuple[str, str]]:
    yield "rule", _safe(cause.code)
    if cause.file is not None:
        yield "where", _place(cause.file, cause.line, cause.content_hash)


def _handlers(name: str, ran: Sequence[RanHandler] | None) -> Iterator[tuple[str, str]]:
    for handler in ran or ():
        place = _place(handler.file, handler.line, handler.content_hash)
        yield name, f"{_safe(handler.plugin)}  {_duration(handler.seconds)}  {place}"


def _attempt_lines(attempts: Sequence[AttemptRecord], style: Style) -> list[str]:
    lines = []
    event = ""
    for attempt in attempts:
        if attempt.event_id != event:
            event = attempt.event_id
            lines.append(f"event {_safe(attempt.event)}  {_safe(event)}")
        outcome = style.coloured(f"{attempt.outcome:<9}", attempt.outcome)
        worker = f"  {_safe(attempt.worker)}" if attempt.worker else ""
        again = f"  again after {_duration(attempt.next_after)}" if attempt.next_after else ""
        took = _duration(attempt.seconds)
        lines.append(
            f"  {attempt.number:>4}  {attempt.time}  {outcome}  {attempt.status}  {took:>7}"
            f"{worker}{again}"
        )
        lines += _attempt_details(attempt, style)
    return lines


def _attempt_details(attempt: AttemptRecord, style: Style) -> Iterator[str]:
    facts = list(_handlers("handler", attempt.handlers))
    if attempt.cause is not None:
        facts += [("why", _safe(attempt.cause.reason)), *_cause(attempt.cause)]
    for name, text in facts:
        yield f"      {_line(style, name, text)}"


def _line(style: Style, name: str, text: str) -> str:
    return f"  {style.dim(name.ljust(_WIDTH))}{text}"


def _place(file: str, line: int | None, content_hash: str | None) -> str:
    at = f"{_safe(file)}:{line}" if line else _safe(file)
    return f"{at}  (sha256 {content_hash}…)" if content_hash else at


def _took(seconds: Durations) -> str:
    steps = {
        "decision": seconds.decision,
        "body": seconds.body,
        "publication": seconds.publication,
    }
    parts = [f"{name} {_duration(value)}" for name, value in steps.items() if value is not None]
    return f"{_duration(seconds.total)}{': ' if parts else ''}{', '.join(parts)}"


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _safe(text: str) -> str:
    """The text on one line, without what a terminal would obey."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
