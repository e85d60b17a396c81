"""Logging setup: console and JSON formatters, context variables, redaction, log injection defence.

Modules of this package call `logging.getLogger(...)` and pass `extra={"action": ..., ...}`;
context bound by `bound(request_id=...)` is added to every record made inside the block. Secrets
registered in `redaction` are masked, and text in a record cannot imitate another record.
"""

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar, Token
from itertools import islice
from types import MappingProxyType
from typing import Any

from qmonus_lite.clock import Clock
from qmonus_lite.control_characters import DIRECTION_MARKS, SEPARATORS, SURROGATES
from qmonus_lite.nonblocking_output import NonBlockingOutput
from qmonus_lite.redaction import redact

#: Control characters except tab and line feed, line separators, direction marks and surrogates.
_CONTROL = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{SEPARATORS}{DIRECTION_MARKS}{SURROGATES}]")
#: Prefix of continuation lines: untrusted text cannot start a line like a record.
_CONTINUATION = "\n    "
#: Text that needs no quotes on the console.
_UNQUOTED = re.compile(r"[^\s\"'=\[\]]+")

#: Fields of an access record that its text has already; the console does not repeat them.
_REQUEST_LINE = frozenset({"method", "path", "status"})

#: Attributes of every standard LogRecord; all others were passed by `extra`.
_STANDARD_COUNT = len(vars(logging.makeLogRecord({})))
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_DIM, _BOLD, _END = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_COLOURS = {"debug": "\x1b[36m", "info": "\x1b[32m", "warning": "\x1b[33m"}
_RED = "\x1b[31m"

_context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default=MappingProxyType({}))


class bound:
    """Add these names to every record made inside the block, including those of its scripts."""

    __slots__ = ("_names", "_token")

    def __init__(self, **names: str) -> None:
        self._names = names

    def __enter__(self) -> None:
        self._token: Token[Mapping[str, str]] = _context.set({**_context.get(), **self._names})

    def __exit__(self, *_error: object) -> None:
        _context.reset(self._token)


def named(name: str) -> str:
    """The value bound to this name in the current context, or an empty string."""
    return _context.get().get(name, "")


def configure(
    *,
    style: str,
    level: str,
    clock: Clock,
    output: NonBlockingOutput | None = None,
    process: str = "",
) -> None:
    """Log to `output`, without it to `sys.stderr`; `style` is console or json.

    Records of style json have `process`, the name of this process if one is given, and its `pid`.
    """
    handler = _OutputHandler(output) if output else logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _JsonFormatter(clock, process) if style == "json" else _ConsoleFormatter(clock)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Otherwise warnings are printed without time and level.
    logging.captureWarnings(True)
    _skip_unused_lookups()
    # APIGW logs each request itself (`action=request`); Tornado would log query strings.
    logging.getLogger("tornado.access").disabled = True
    logging.getLogger("watchfiles").setLevel("WARNING")
    logging.getLogger("botocore").setLevel("WARNING")
    logging.getLogger("asyncio").setLevel("WARNING")


def _skip_unused_lookups() -> None:
    """Do not search the stack for the caller of our own records: neither formatter prints it.

    Only for our own loggers: scripts and their libraries log in this process too, with formatters
    of their own, so the switches of the module `logging` stay as they are.
    """
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("qmonus_lite.") and isinstance(logger, logging.Logger):
            setattr(logger, "findCaller", _no_caller)  # noqa: B010 - a method of this one logger


def _no_caller(*_given: object, **_options: object) -> tuple[str, int, str, None]:
    return "(unknown file)", 0, "(unknown function)", None


def _line_of_script(record: logging.LogRecord) -> dict[str, Any]:
    """File and line of a record that a script made itself."""
    # Code of plugin files alone has such a file name.
    if record.pathname.endswith((".yml", ".yaml")):
        return {"file": record.pathname, "line": record.lineno}
    return {}


class _OutputHandler(logging.Handler):
    """Writes records to an output that never blocks, and there the number of lost ones."""

    def __init__(self, output: NonBlockingOutput) -> None:
        super().__init__()
        self._output = output
        output.report = self._report

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or the traceback of an error of its arguments."""
        try:
            line = self.format(record)
        except Exception:
            line = traceback.format_exc()
        self._output.write(f"{line}\n".encode(errors="backslashreplace"))

    def _report(self, lost: int) -> bytes:
        logger = logging.getLogger(__name__)
        text = "%d records were lost: the reader of this log did not read"
        extra = {"action": "log_lost", "lost": lost}
        record = logger.makeRecord(
            logger.name, logging.ERROR, "", 0, text, (lost,), None, extra=extra
        )
        # The formatter has a cache; the lock is that of `handle`.
        self.acquire()
        try:
            return f"{self.format(record)}\n".encode(errors="backslashreplace")
        finally:
            self.release()


class _BaseFormatter(logging.Formatter):
    """Base class of both formatters: fields of a record, redacted."""

    #: Names that are left out of the record of a request.
    _omitted = _STANDARD

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        #: Cache: second of the previous record, and its text before and after the milliseconds.
        self._second, self._before, self._after = -1.0, "", ""

    def _time(self, record: logging.LogRecord) -> str:
        second, rest = divmod(record.created, 1)
        if second != self._second:
            text = self._clock.at(second).isoformat(timespec="milliseconds")
            # The milliseconds are between the seconds and the UTC offset.
            self._before, _, after = text.partition(".")
            self._second, self._after = second, after[3:]
        millis = min(999, round(rest * 1_000_000) // 1000)
        return f"{self._before}.{millis:03d}{self._after}"

    def _text(self, text: str) -> str:
        """Text redacted and escaped for this format."""
        return redact(text)

    def _rest(self, record: logging.LogRecord) -> dict[str, Any]:
        """Fields besides the message: bound context, `extra`, traceback."""
        # `extra` follows the standard attributes; other formatters may append standard names.
        last = islice(vars(record).items(), _STANDARD_COUNT, None)
        omitted = self._omitted if getattr(record, "action", None) == "request" else _STANDARD
        given = {name: value for name, value in last if name not in omitted}
        rest = {**_context.get(), **_line_of_script(record), **given}
        if record.exc_info and record.exc_info[0]:
            rest["exception"] = self.formatException(record.exc_info)
        if _is_plain(rest):
            return rest
        return {self._text(str(name)): self._value(value) for name, value in rest.items()}

    def _value(self, value: Any) -> Any:
        """A value with all text redacted recursively; unknown types become their repr."""
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, (int, float)):
            return value
        if isinstance(value, Mapping):
            return {self._key(key): self._value(part) for key, part in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._value(part) for part in value]
        return self._text(repr(value))

    def _key(self, key: object) -> str:
        return self._text(key if isinstance(key, str) else repr(key))


def _is_plain(rest: Mapping[str, Any]) -> bool:
    """Whether no field needs redaction or escaping; fast path, checks all text at once."""
    names: list[Any] = list(rest)
    texts = [name for name in names if isinstance(name, str)]
    if len(texts) < len(names):
        return False
    for value in rest.values():
        if isinstance(value, str):
            texts.append(value)
        elif not isinstance(value, (int, float)):
            return False
    joined = " ".join(texts)
    return joined.isprintable() and redact(joined) == joined


class _JsonFormatter(_BaseFormatter):
    """Formatter: a JSON object per line."""

    def __init__(self, clock: Clock, process: str) -> None:
        super().__init__(clock)
        self._process = {"process": process, "pid": os.getpid()} if process else {}

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        fields = {
            "timestamp": self._time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": self._text(record.getMessage()),
            **self._process,
            **self._rest(record),
        }
        line = json.dumps(fields, ensure_ascii=False)
        # json.dumps does not escape control characters above ASCII.
        return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


class _ConsoleFormatter(_BaseFormatter):
    """Formatter: a readable line per record, followed by its traceback."""

    _omitted = _STANDARD | _REQUEST_LINE

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._coloured = sys.stderr.isatty()
        self._dim, self._bold, self._end = (_DIM, _BOLD, _END) if self._coloured else ("", "", "")

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, and the lines of its traceback."""
        level = record.levelname.lower()
        rest = self._rest(record)
        exception = rest.pop("exception", None)
        dim, bold, end = self._dim, self._bold, self._end
        colour = _COLOURS.get(level, _RED) if self._coloured else ""
        parts = [
            f"{dim}{self._time(record)}{end}",
            f"[{colour}{level:<9}{end}]",
            f"{bold}{self._text(record.getMessage())}{end}",
            f"{dim}[{record.name}]{end}",
            *[f"{dim}{name}{end}={_shown(rest[name])}" for name in sorted(rest)],
        ]
        line = " ".join(parts)
        return f"{line}\n    {exception}" if exception else line

    def _text(self, text: str) -> str:
        text = redact(text)
        if text.isprintable():
            return text
        return _CONTROL.sub(_escape, text).replace("\n", _CONTINUATION)


def _shown(value: object) -> str:
    return value if isinstance(value, str) and _UNQUOTED.fullmatch(value) else repr(value)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
