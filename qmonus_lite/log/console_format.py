"""Log records for people: a line per record, aligned; coloured on a terminal only."""

import logging
import os
import re
import sys
from types import MappingProxyType

from qmonus_lite.clock import Clock
from qmonus_lite.log.formatter import CONTROL, STANDARD, RecordFormatter, is_own

#: Prefix of continuation lines: untrusted text cannot start a line like a record.
_CONTINUATION = "\n    "
#: Text that needs no quotes on the console.
_is_unquoted = re.compile(r"[^\s\"'=\[\]]+").fullmatch
#: Fields that the text of a record has already, by its action.
_IN_TEXT = {
    "request": ("method", "url_path", "status"),
    "event_handled": ("event_name", "status"),
    "event_delivered": ("event_name",),
    "event_retry": ("event_name",),
    "event_dead": ("event_name",),
}
#: Columns of the name of a process, and of a message, so that the fields begin below one another.
_PROCESS_WIDTH, _MESSAGE_WIDTH = 12, 40
#: Ids, last on a line in this order: they are long, and the same on many lines.
_IDS = ("event_id", "upload_id", "request_id", "trace_id")
#: For machines; the traceback of an exception has its type and message.
_LEFT_OUT = ("span_id", "trace_flags", "exception_type", "exception_message")

_DIM, _BOLD, _END = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_COLOURS = {"debug": "\x1b[36m", "info": "\x1b[32m", "warning": "\x1b[33m"}
_RED = "\x1b[31m"


class ConsoleFormatter(RecordFormatter):
    """Formatter: a readable line per record, followed by its traceback."""

    _omitted = MappingProxyType(
        {action: STANDARD.union(names) for action, names in _IN_TEXT.items()}
    )

    def __init__(self, clock: Clock, process: str) -> None:
        """`process`: name of this process in its records, or empty."""
        super().__init__(clock)
        self._process = f"{process:<{_PROCESS_WIDTH}} " if process else ""
        self._on_terminal = sys.stderr.isatty()
        self._coloured = self._on_terminal and not os.environ.get("NO_COLOR")
        self._dim, self._bold, self._end = (_DIM, _BOLD, _END) if self._coloured else ("", "", "")

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, and the lines of its traceback."""
        level = record.levelname.lower()
        given = self._given(record)
        fields = self._shown(given | self._around(record) | given)
        exception = fields.pop("exception", None)
        if exception or "span_id" in fields:
            for name in _LEFT_OUT:
                fields.pop(name, None)
        if not is_own(record):
            fields = {"logger": record.name, **fields}
        dim, bold, end = self._dim, self._bold, self._end
        colour = _COLOURS.get(level, _RED) if self._coloured else ""
        message = self._text(record.getMessage())
        line = (
            f"{dim}{self._when(record)}{end} {colour}{level:<7}{end} {dim}{self._process}{end}"
            f"{bold}{message:<{_MESSAGE_WIDTH}}{end}  {dim}{_listed(fields)}{end}"
        ).rstrip()
        return f"{line}{_CONTINUATION}{exception}" if exception else line

    def _when(self, record: logging.LogRecord) -> str:
        """Date and time with its offset; the time alone on a terminal."""
        time = self._time(record)
        return time[11:23] if self._on_terminal else time

    def _text(self, text: str) -> str:
        text = super()._text(text)
        if text.isprintable():
            return text
        return CONTROL.sub(_escape, text).replace("\n", _CONTINUATION)


def _listed(fields: dict[str, object]) -> str:
    """`name=value` of each field, in the order given, the ids last."""
    for name in _IDS:
        if name in fields:
            fields[name] = fields.pop(name)
    return " ".join(
        [
            f"{name}={value}"
            if type(value) is int or (isinstance(value, str) and _is_unquoted(value))
            else f"{name}={value!r}"
            for name, value in fields.items()
        ]
    )


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
