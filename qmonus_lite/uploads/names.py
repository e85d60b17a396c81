"""Validation of storage paths from a client or a plugin.

Names are compared and stored in Unicode NFC. `;`, `:`, `%`, `+` and a leading `-` are ordinary.
"""

import re

from qmonus_lite.pathtemplate import CONTROL, normalized

#: Maximum bytes of a part, bytes of a path, and parts of a path.
MAX_PART_BYTES, MAX_PATH_BYTES, MAX_PARTS = 255, 1024, 32

#: Matches most valid parts, which then need no further checks.
_PLAIN = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9_-])?")

#: Prefix of names used by the gateway itself, such as the default data directory.
RESERVED = ".qmonus-lite"


class BadName(ValueError):
    """A path that cannot be stored; the message has the reason."""


def parts_of(path: str) -> tuple[str, ...]:
    """The parts of an absolute `path`, in NFC; raises BadName."""
    if not path.startswith("/"):
        raise BadName("the path does not start with a slash")
    text = normalized(path[1:])
    parts = tuple(text.split("/"))
    if len(parts) > MAX_PARTS:
        raise BadName(f"the path has more than {MAX_PARTS} parts")
    for part in parts:
        if not _PLAIN.fullmatch(part):
            _check(part)
    if len(text.encode()) > MAX_PATH_BYTES:
        raise BadName(f"the path is longer than {MAX_PATH_BYTES} bytes")
    return parts


def _check(part: str) -> None:
    if not part:
        raise BadName("a part of the path is empty (a doubled or trailing slash)")
    if part in {".", ".."}:
        raise BadName(f"a part of the path is {part!r}")
    if part.casefold().startswith(RESERVED):
        raise BadName(f"a part of the path begins with {RESERVED}, which is reserved")
    if part[-1] in ". ":
        raise BadName("a part of the path ends with a dot or a space")
    if "\\" in part:
        raise BadName("the path has a backslash")
    if CONTROL.search(part):
        raise BadName("the path has a control character or a direction mark")
    if len(part.encode()) > MAX_PART_BYTES:
        raise BadName(f"a part of the path is longer than {MAX_PART_BYTES} bytes")
