"""Where a script stands: the plugin file, the line and the column of its first character."""

import linecache
import sys
import traceback
from dataclasses import dataclass
from types import FrameType


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The place of one block of Python inside a YAML file."""

    #: Path of the plugin file.
    file: str
    #: Line of the script's first line, counted from 1.
    line: int
    #: Columns that the block is indented by.
    indent: int
    #: Name of the plugin and key that holds the script, for messages.
    label: str

    @property
    def plugin(self) -> str:
        """Name of the plugin."""
        return self.label.rpartition(".")[0]


def remember_source(file: str, text: str) -> None:
    """Let tracebacks show lines of the file as it was loaded, whatever happens to it later."""
    # A modification time of None tells linecache never to look at the disk again.
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)


def line_now(file: str) -> int:
    """The line of the file that the current thread is at; 0 if it runs none of the file's code."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != file:
        frame = frame.f_back
    return frame.f_lineno if frame is not None else 0


def line_raised(error: BaseException, file: str) -> int:
    """The innermost line of the file that an exception went through, or 0."""
    places = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in places if frame.f_code.co_filename == file]
    return lines[-1] if lines else 0
