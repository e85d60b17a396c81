"""Warnings of Python (module `warnings`) as log records, with the plugin's file and line."""

import logging
import sys
import warnings
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

#: Endings of plugin files, which the code of scripts has as its file name.
_PLUGIN_FILES = (".yml", ".yaml")
#: Regular expression of the names of script modules (`scripting.modules`), which have a colon.
_SCRIPT_MODULES = ".*:"
#: Maximum stack frames that are searched for the line of a script.
_MAX_FRAMES = 64


def install() -> None:
    """Log every warning; those of deprecated functions too that scripts call.

    A warning that is raised once for each place in the code is logged once for each.
    """
    setattr(warnings, "showwarning", _log)  # noqa: B010 - typeshed names its last parameters
    # By default Python shows a deprecation only if it is attributed to `__main__`.
    warnings.filterwarnings("default", category=DeprecationWarning, module=_SCRIPT_MODULES)


def _log(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    *_file_and_line: object,
) -> None:
    """Replaces `warnings.showwarning`."""
    extra: dict[str, Any] = {"action": "python_warning", "category": category.__name__}
    if filename.endswith(_PLUGIN_FILES):
        extra |= {"file": filename, "line": lineno}
    else:
        extra |= {"raised_at": f"{filename}:{lineno}", **_line_of_script()}
    logger.warning("%s: %s", category.__name__, message, extra=extra)


def _line_of_script() -> dict[str, Any]:
    """File and line of the script whose call led to the warning; empty if none did."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_MAX_FRAMES):
        if frame is None:
            break
        if frame.f_code.co_filename.endswith(_PLUGIN_FILES):
            return {"file": frame.f_code.co_filename, "line": frame.f_lineno}
        frame = frame.f_back
    return {}
