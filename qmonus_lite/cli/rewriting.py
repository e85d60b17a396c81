"""Rewriting a plugin file: whole or not at all, with its mode and its owner."""

import os
from pathlib import Path

from qmonus_lite.datadir import sync
from qmonus_lite.errors import BadPlace


def replace(file: Path, text: str) -> None:
    """Put the text in the place of the file's, durably; raises BadPlace."""
    file = file.resolve()
    draft = file.with_name(f".{file.name}.draft")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        status = file.stat()
        if (draft.stat().st_uid, draft.stat().st_gid) != (status.st_uid, status.st_gid):
            # A root who seals for the service must leave it a file that it can read.
            os.chown(draft, status.st_uid, status.st_gid)
        draft.chmod(status.st_mode & 0o7777)
        sync(draft)
        draft.replace(file)
        sync(file.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise BadPlace(f"{file}: cannot be written: {error.strerror}") from None
