"""Log records for machines: a flat JSON object per line, with the names of OpenTelemetry."""

import json
import logging
import os
from typing import Any

from qmonus_lite.clock import Clock
from qmonus_lite.log.field_names import foreign_name, own_name, severity
from qmonus_lite.log.formatter import CONTROL, RecordFormatter, is_own

SERVICE = "qmonus-lite"


class JsonFormatter(RecordFormatter):
    """Formatter: a JSON object per line."""

    def __init__(self, clock: Clock, process: str) -> None:
        """`process`: name of this process in its records, with its pid; empty for neither."""
        super().__init__(clock)
        self._process: dict[str, Any] = {"service.name": SERVICE}
        if process:
            self._process |= {"qmonus_lite.process": process, "process.pid": os.getpid()}

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        text, number = severity(record.levelno)
        fields = {
            "timestamp": self._time(record),
            "severity_text": text,
            "severity_number": number,
            "body": self._text(record.getMessage()),
            "otel.scope.name": record.name,
            **self._process,
        }
        given, around = self._given(record), self._around(record)
        if is_own(record):
            around |= given
            given = {}
        fields |= {own_name(name): value for name, value in self._shown(around).items()}
        if given:
            fields |= {foreign_name(name): value for name, value in self._shown(given).items()}
        line = json.dumps(fields, ensure_ascii=False)
        # json.dumps does not escape control characters above ASCII.
        return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
