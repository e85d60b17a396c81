"""Output of commands for a person: wrapped text, and colours on a terminal only."""

import os
import shutil
import sys
import textwrap

#: Width of wrapped text: that of the terminal, at most the second; without a terminal the first.
_PIPE_COLUMNS, _MAX_COLUMNS = 80, 120

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def styled(text: str, style: str) -> str:
    """Text in a style on a terminal, unless NO_COLOR is set; else the text as it is."""
    if not text or not is_terminal() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{style}m{text}\x1b[0m"


def wrapped(text: str, indent: int, first: int | None = None) -> str:
    """Text in lines of the terminal's width, `indent` columns in; the first one `first` columns.

    Words are not broken, so that paths and ids can be copied.
    """
    columns = shutil.get_terminal_size().columns if is_terminal() else _PIPE_COLUMNS
    return textwrap.fill(
        text,
        width=max(40, min(columns, _MAX_COLUMNS)),
        initial_indent=" " * (indent if first is None else first),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
