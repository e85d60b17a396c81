"""The data directory: mode 0700, its format, its key files, and the lock against a second APIGW."""

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qmonus_lite.data_format import note_address, open_format, read_format
from qmonus_lite.errors import BadResource

#: Random bytes in each generated key.
KEY_BYTES = 32


class DataDir:
    """A state directory that is readable by its owner only."""

    def __init__(self, path: Path) -> None:
        """Create or check the directory; raises BadResource, also for a newer format."""
        self.path = path
        try:
            missing = [parent for parent in (path, *path.parents) if not parent.exists()]
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            for made in missing:
                # fsync the parent: without it, a power failure may remove the new directory.
                sync(made.parent)
        except OSError as error:
            raise BadResource(
                f"--data_dir={path}: cannot be made or owned: {error.strerror};"
                " choose a directory that this user may write to"
            ) from None
        if not os.access(path, os.W_OK | os.X_OK):
            raise BadResource(f"--data_dir={path}: not writable for this user")
        read_format(path)

    def open(self) -> str:
        """Migrate to the format of this version, for server processes; gives the gateway's id.

        Raises BadResource.
        """
        with self._writing_format():
            return open_format(self.path).gateway

    def note_address(self, address: str, port: int) -> None:
        """Keep the advertised host and port of the gateway; raises BadResource."""
        with self._writing_format():
            note_address(self.path, address, port)

    @contextmanager
    def _writing_format(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BadResource(
                f"--data_dir={self.path}: its format file cannot be written: {error.strerror}"
            ) from None

    def key(self, name: str) -> bytes:
        """The key in the file `name`, generated at first use, mode 0400; raises BadResource.

        Processes that start at the same time get the same key: the file is created atomically by
        link(2).
        """
        path = self.path / name
        try:
            if not path.exists():
                self._make_key(path)
            key = base64.b64decode(path.read_bytes(), validate=False)
        except (OSError, ValueError) as error:
            raise BadResource(f"{path}: not a usable key: {error}") from None
        if len(key) != KEY_BYTES:
            # A truncated key would still produce signatures, but could be guessed.
            raise BadResource(f"{path}: not a usable key: expected {KEY_BYTES} bytes in base64")
        return key

    def known_key(self, name: str) -> list[bytes]:
        """The key in the file `name` as a list of one; empty if missing or invalid."""
        try:
            key = base64.b64decode((self.path / name).read_bytes(), validate=False)
        except (OSError, ValueError):
            return []
        return [key] if len(key) == KEY_BYTES else []

    def promote_key(self, name: str, target: str) -> None:
        """Replace the key file `target` by the file `name`, atomically and with fsync."""
        os.replace(self.path / name, self.path / target)
        sync(self.path)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Hold an exclusive flock on the lock file `name` during the block; waits for it."""
        descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _make_key(self, path: Path) -> None:
        draft = self.path / f".{path.name}.{secrets.token_hex(8)}"
        draft.touch(mode=0o600)
        try:
            draft.write_bytes(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            draft.chmod(0o400)
            # fsync before link: a file left empty by a power failure would fail every start.
            sync(draft)
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        sync(self.path)

    def write_private(self, name: str, text: str) -> Path:
        """Write a file of mode 0600 by atomic rename; returns its path. Requires the lock."""
        path = self.path / name
        # A fixed name, so that a file left behind by a killed process is removed by the next write.
        draft = self.path / f".{name}.draft"
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.replace(path)
        return path

    def lock(self) -> int:
        """Lock the directory for this process; raises BadResource when another APIGW holds it.

        Returns the descriptor. The flock is released when the process ends, also by SIGKILL.
        """
        path = self.path / "apigw.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise BadResource(
                f"--data_dir={self.path}: another APIGW runs on it; stop that one or choose another"
            ) from None
        return descriptor


def sync(path: Path) -> None:
    """fsync a file, or the entries of a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
