"""Position of a script: plugin file, line and column of its first character."""

import io
import linecache
import sys
import traceback
from types import FrameType

from qmonus_lite.values import Value


class Origin(Value, frozen=True, kw_only=True):
    """Position of one block of Python inside a YAML file."""

    #: Path of the plugin file.
    file: str
    #: Line of the script's first line, counted from 1.
    line: int
    #: Number of columns by which the block is indented.
    indent: int
    #: Plugin name and key of the script, for messages.
    label: str

    @property
    def plugin(self) -> str:
        """Name of the plugin."""
        return self.label.rpartition(".")[0]

    @property
    def key(self) -> str:
        """Key of the script in the plugin, `script` for example."""
        return self.label.rpartition(".")[2]


def lines_of(text: str) -> list[str]:
    """The lines as YAML 1.2 and Python count them, each with a line feed at its end.

    `str.splitlines` ends lines at U+0085, U+2028 and others too.
    """
    return list(io.StringIO(text, newline=None))


def remember_source(file: str, text: str) -> None:
    """Store the source in linecache, so that tracebacks show the file as it was loaded."""
    # A modification time of None prevents linecache from checking the file on disk.
    linecache.cache[file] = (len(text), None, lines_of(text), file)


def line_now(file: str) -> int:
    """Line of the file that the current thread is executing; 0 if it runs no code of the file."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != file:
        frame = frame.f_back
    return frame.f_lineno if frame is not None else 0


def line_raised(error: BaseException, file: str) -> int:
    """Innermost line of the file in the traceback of an exception, or 0."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == file]
    return lines[-1] if lines else 0
