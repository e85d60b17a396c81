"""Base of both formatters: the time of a record, and its fields, redacted."""

import logging
import re
import traceback
from collections.abc import Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

from qmonus_lite.clock import Clock
from qmonus_lite.control_characters import DIRECTION_MARKS, SEPARATORS, SURROGATES
from qmonus_lite.log.context import current
from qmonus_lite.log.field_names import OWN
from qmonus_lite.redaction import redact

#: Control characters except tab and line feed, line separators, direction marks and surrogates.
CONTROL = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{SEPARATORS}{DIRECTION_MARKS}{SURROGATES}]")

#: Attributes of every standard LogRecord; all others were passed by `extra`.
_STANDARD_COUNT = len(vars(logging.makeLogRecord({})))
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class RecordFormatter(logging.Formatter):
    """Base class of both formatters."""

    #: Names that are left out of records, by their action.
    _omitted: Mapping[object, frozenset[str]] = MappingProxyType({})

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

    def _given(self, record: logging.LogRecord) -> dict[str, Any]:
        """Fields that the record was given by `extra`."""
        attributes = vars(record)
        # `extra` follows the standard attributes; other formatters may append standard names.
        last = islice(attributes.items(), _STANDARD_COUNT, None)
        omitted = self._omitted.get(attributes.get("action"), STANDARD)
        return {name: value for name, value in last if name not in omitted}

    def _around(self, record: logging.LogRecord) -> dict[str, Any]:
        """Fields by where the record was made: bound context, line of a script, exception."""
        around: dict[str, Any] = {**current()}
        # Code of plugin files alone has such a file name.
        if record.pathname.endswith((".yml", ".yaml")):
            around |= {"file": record.pathname, "line": record.lineno}
        if record.exc_info and (error := record.exc_info[1]) is not None:
            # Not str(): a class that a script defined may have a broken `__str__`.
            text = "".join(traceback.format_exception_only(error)).partition(": ")[2]
            around["exception_type"] = type(error).__name__
            around["exception_message"] = text.rstrip()
            around["exception"] = self.formatException(record.exc_info)
        return around

    def _shown(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields redacted and escaped."""
        if _is_plain(fields):
            return fields
        return {self._text(str(name)): self._value(value) for name, value in fields.items()}

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


def is_own(record: logging.LogRecord) -> bool:
    """Whether a module of this package made the record, not a script or a library."""
    # A record that is made from a dict may have no name.
    return str(record.name).startswith(OWN)


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
