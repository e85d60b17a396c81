"""Where a script stands: the plugin file, the line and the column of its first character."""

import linecache
from dataclasses import dataclass


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


def remember_source(file: str, text: str) -> None:
    """Let tracebacks show lines of the file as it was loaded, whatever happens to it later."""
    # A modification time of None tells linecache never to look at the disk again.
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
