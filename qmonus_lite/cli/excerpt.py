"""The line of a plugin file that a fault or a warning is about, with a mark below its column."""

import re
import unicodedata
from pathlib import Path

from qmonus_lite.catalog import files
from qmonus_lite.catalog.document import BadDocument

#: Characters of a line that are shown, and how many of them at most before the place.
_MOST, _BEFORE = 110, 80
#: A file that may hold secrets in clear, which must not get into the record of a build.
_VALUES = re.compile(r"""^[\s{]*["']?values["']?\s*:""", re.MULTILINE)


def excerpt(file: str, line: int, column: int) -> str:
    """The line and the mark, indented; empty for a place that has no line to show."""
    try:
        source = files.read(Path(file))
    except (BadDocument, OSError):
        return ""
    rows = source.splitlines()
    if _VALUES.search(source) or line > len(rows) or not rows[line - 1].strip():
        return ""
    row = "".join(c if c.isprintable() else " " for c in rows[line - 1])
    start = max(len(row) - len(row.lstrip()), column - 1 - _BEFORE)
    pad = " " * sum(map(_width, row[start : column - 1]))
    return f"    {row[start : start + _MOST].rstrip()}\n    {pad}^"


def _width(character: str) -> int:
    """Columns of a terminal that a character takes."""
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
