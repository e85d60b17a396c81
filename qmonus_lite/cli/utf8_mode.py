"""Python's UTF-8 mode, whatever the locale: file names and text are UTF-8 in every process.

Python decodes and encodes file names by the locale. Under another one than UTF-8 an upload would be
stored under other bytes than its name has, or not at all, and plugins would not find its file.
https://docs.python.org/3/library/os.html#python-utf-8-mode
"""

import os
import sys


def execute_in_utf8_mode() -> None:
    """Execute this command again in UTF-8 mode if file names are not UTF-8 in this process.

    Call it before the first thread and the first open file. The process keeps its id.
    """
    if sys.getfilesystemencoding() == "utf-8":
        return
    # For the child processes of `up`, and those of scripts.
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
