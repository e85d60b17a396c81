"""The data directory: mode 0700, its keys, and the lock that keeps a second APIGW out."""

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qmonus_lite.errors import BadPlace

#: Bytes of randomness in every key that we make.
KEY_BYTES = 32


class DataDir:
    """A directory for state that only its owner can read."""

    def __init__(self, path: Path) -> None:
        """Make or check the directory; raises BadPlace."""
        self.path = path
        try:
            missing = [place for place in (path, *path.parents) if not place.exists()]
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            for made in missing:
                # What stands in a directory that a loss of power takes away is lost as well.
                sync(made.parent)
        except OSError as error:
            raise BadPlace(
                f"--data_dir={path}: cannot be made or owned: {error.strerror};"
                " choose a directory that this user may write to"
            ) from None
        if not os.access(path, os.W_OK | os.X_OK):
            raise BadPlace(f"--data_dir={path}: not writable for this user")

    def key(self, name: str) -> bytes:
        """The key in the file `name`, made at first use; the file is 0400. Raises BadPlace.

        Two processes that start at once get the same key: the file appears whole, by a link.
        """
        place = self.path / name
        try:
            if not place.exists():
                self._make_key(place)
            key = base64.b64decode(place.read_bytes(), validate=False)
        except (OSError, ValueError) as error:
            raise BadPlace(f"{place}: not a usable key: {error}") from None
        if len(key) != KEY_BYTES:
            # A key that was cut off would still sign, and anybody could guess it.
            raise BadPlace(f"{place}: not a usable key: expected {KEY_BYTES} bytes in base64")
        return key

    def known_key(self, name: str) -> list[bytes]:
        """The key in the file `name`, if there is one."""
        try:
            key = base64.b64decode((self.path / name).read_bytes(), validate=False)
        except (OSError, ValueError):
            return []
        return [key] if len(key) == KEY_BYTES else []

    def promote_key(self, name: str, place: str) -> None:
        """Put the key in the file `name` in the place of another, for good."""
        os.replace(self.path / name, self.path / place)
        sync(self.path)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Keep others who ask for the lock `name` waiting while the block runs."""
        descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _make_key(self, place: Path) -> None:
        draft = self.path / f".{place.name}.{secrets.token_hex(8)}"
        draft.touch(mode=0o600)
        try:
            draft.write_bytes(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            draft.chmod(0o400)
            # A key that a loss of power leaves empty would refuse every start from then on.
            sync(draft)
            os.link(draft, place)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        sync(self.path)

    def write_private(self, name: str, text: str) -> Path:
        """Put a file of mode 0600 in place, whole; gives its path. For the holder of the lock."""
        place = self.path / name
        # Always the same one, so that what a kill leaves behind is gone with the next writing.
        draft = self.path / f".{name}.draft"
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.replace(place)
        return place

    def lock(self) -> int:
        """Take the directory for this process; raises BadPlace when another APIGW has it.

        The lock goes with the process, however it ends.
        """
        place = self.path / "apigw.lock"
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise BadPlace(
                f"--data_dir={self.path}: another APIGW runs on it; stop that one or choose another"
            ) from None
        return descriptor


def sync(place: Path) -> None:
    """Put a file, or the names in a directory, on stable storage."""
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
