"""Atomic changes of plugin files: creation, replacement that preserves mode and owner, removal."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qmonus_lite import ownership
from qmonus_lite.cli import owner_rights
from qmonus_lite.datadir import sync
from qmonus_lite.errors import BadResource


def create(file: Path, text: str) -> None:
    """Create a file with its folder, readable for the service; raises BadResource if it exists.

    It belongs to the owner of the folder. A running APIGW sees the whole file or none.
    """
    draft = file.with_name(f".{file.stem}.draft")
    with owner_rights.of_folder(file.parent) as service, _clear_errors(file, draft):
        # Plugin folders must not be writable by other users, regardless of the umask.
        file.parent.mkdir(mode=0o755, exist_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        owner_rights.share(draft, service)
        sync(draft)
        os.link(draft, file)


def replace(file: Path, text: str) -> None:
    """Replace the content of a file atomically, with fsync; raises BadResource."""
    file = file.resolve()
    draft = file.with_name(f".{file.name}.draft")
    with owner_rights.of_folder(file.parent), _clear_errors(file, draft):
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        status = file.stat()
        # Only root can keep another owner; in the folder of a user, the file becomes that user's.
        with suppress(PermissionError):
            os.chown(draft, status.st_uid, status.st_gid)
        draft.chmod(status.st_mode & 0o7777)
        sync(draft)
        draft.replace(file)
        sync(file.parent)


def remove(file: Path) -> None:
    """Remove a file, with fsync of its directory; raises BadResource."""
    file = file.resolve()
    with owner_rights.of_folder(file.parent), _clear_errors(file, None):
        file.unlink()
        sync(file.parent)


@contextmanager
def _clear_errors(file: Path, draft: Path | None) -> Iterator[None]:
    """Raise BadResource for an OSError, and remove the draft however it ends."""
    try:
        yield
    except OSError as error:
        hint = ownership.advice(file.parent) if isinstance(error, PermissionError) else ""
        raise BadResource(f"{file}: cannot be written: {error.strerror}{hint}") from None
    finally:
        if draft is not None:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
