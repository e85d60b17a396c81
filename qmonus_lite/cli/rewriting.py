"""Atomic replacement of a plugin file that preserves its mode and owner."""

import os
from pathlib import Path

from qmonus_lite.datadir import sync
from qmonus_lite.errors import BadResource


def replace(file: Path, text: str) -> None:
    """Replace the content of a file atomically, with fsync; raises BadResource."""
    file = file.resolve()
    draft = file.with_name(f".{file.name}.draft")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        status = file.stat()
        if (draft.stat().st_uid, draft.stat().st_gid) != (status.st_uid, status.st_gid):
            # If root runs `config seal`, the service's user must still be able to read the file.
            os.chown(draft, status.st_uid, status.st_gid)
        draft.chmod(status.st_mode & 0o7777)
        sync(draft)
        draft.replace(file)
        sync(file.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise BadResource(f"{file}: cannot be written: {error.strerror}") from None
