"""Source excerpt for a fault or warning: the line of a plugin file, with a caret at the column."""

import re
import unicodedata
from pathlib import Path

from qmonus_lite.catalog import files
from qmonus_lite.catalog.document import BadDocument
from qmonus_lite.scripting.origin import lines_of

#: Maximum characters shown of a line, and maximum of them before the column.
_MAX_CHARACTERS, _MAX_BEFORE = 110, 80
#: Matches a Config plugin: it may contain plain secrets, which must not appear in build logs.
_VALUES = re.compile(r"""^[\s{]*["']?values["']?\s*:""", re.MULTILINE)


def excerpt(file: str, line: int, column: int) -> str:
    """The line and the caret, indented; empty if there is no line to show."""
    try:
        source = files.read(Path(file))
    except (BadDocument, OSError):
        return ""
    rows = lines_of(source)
    if _VALUES.search(source) or line > len(rows) or not rows[line - 1].strip():
        return ""
    row = "".join(c if c.isprintable() else " " for c in rows[line - 1])
    start = max(len(row) - len(row.lstrip()), column - 1 - _MAX_BEFORE)
    pad = " " * sum(map(_width, row[start : column - 1]))
    return f"    {row[start : start + _MAX_CHARACTERS].rstrip()}\n    {pad}^"


def _width(character: str) -> int:
    """Width of a character in terminal columns."""
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
