"""Format file of a data directory: its format number, and the identity of its gateway.

Format 1 is that of version 0.1, which wrote no such file. In format 2 the file is there. Databases
of the directory have format numbers of their own (`database.migration`).
"""

import fcntl
import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qmonus_lite import ownership
from qmonus_lite.errors import BadResource
from qmonus_lite.values import Value, as_dict, changed

logger = logging.getLogger(__name__)

FILE, FORMAT = "format.json", 2
#: Random bytes of the id of a gateway.
ID_BYTES = 8


class DataFormat(Value, frozen=True, kw_only=True):
    """Content of the format file."""

    format: int
    #: Id of the gateway, in its events.
    gateway: str
    #: Absolute path of the directory at the last start: tells that it was moved or copied.
    directory: str
    #: Advertised host and port of the gateway at its last start; empty and 0 before the first one.
    address: str = ""
    port: int = 0


def read_format(directory: Path) -> DataFormat | None:
    """The format file of a directory, or None without one.

    Raises BadResource for a directory of a newer format, and if the file cannot be read.
    """
    path = directory / FILE
    try:
        value = json.loads(path.read_bytes())
        number = int(value["format"])
        if number > FORMAT:
            raise BadResource(
                f"--data_dir={directory}: has format {number}, made by a newer version; this"
                f" version reads formats up to {FORMAT}: start the newer version, or restore a"
                " copy from before its first start"
            )
        return DataFormat(
            format=number,
            gateway=str(value["gateway"]),
            directory=str(value["directory"]),
            address=str(value["address"]),
            port=int(value["port"]),
        )
    except FileNotFoundError:
        return None
    except PermissionError:
        raise BadResource(
            f"{path}: cannot be read: Permission denied{ownership.advice(directory)}"
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadResource(
            f"{path}: not a usable format file: {error}; restore it from a copy, or remove it if"
            " this version made the directory"
        ) from None


def open_format(directory: Path) -> DataFormat:
    """Migrate a directory to the format of this version, and notice that it was moved or copied.

    For server processes, which may start at the same time; raises BadResource or OSError.
    """
    with _locked(directory):
        before = read_format(directory)
        if before is None:
            now = DataFormat(
                format=FORMAT, gateway=secrets.token_hex(ID_BYTES), directory=str(directory)
            )
            if any(directory.glob("*.sqlite3")):
                extra = {"action": "data_dir_migrated", "format": FORMAT}
                logger.info("%s migrated to format %d", directory, FORMAT, extra=extra)
        else:
            now = _placed(before, directory)
        if now != before:
            _write(directory, now)
        return now


def note_address(directory: Path, address: str, port: int) -> None:
    """Keep where the gateway is, so that commands can show events as it delivers them.

    Raises BadResource or OSError.
    """
    with _locked(directory):
        before = read_format(directory)
        if before is not None:
            now = changed(before, address=address, port=port)
            if now != before:
                _write(directory, now)


def _placed(before: DataFormat, directory: Path) -> DataFormat:
    """The format file for where the directory is now; a copy gets an id of its own."""
    former = Path(before.directory)
    if former == directory or _is_same(former, directory):
        return before
    now = changed(before, directory=str(directory))
    extra = {"action": "data_dir_moved", "former": before.directory, "gateway": before.gateway}
    if _gateway_of(former) != before.gateway:
        logger.info("%s was moved here from %s", directory, former, extra=extra)
        return now
    now = changed(now, gateway=secrets.token_hex(ID_BYTES))
    extra |= {"action": "data_dir_copied", "gateway": now.gateway}
    message = (
        "%s is a copy of %s: events that waited when it was made are delivered by both, with equal"
        " ids; this gateway has a new id"
    )
    logger.warning(message, directory, former, extra=extra)
    return now


def _is_same(former: Path, directory: Path) -> bool:
    """Whether both paths lead to one directory, as with a bind mount."""
    try:
        return former.samefile(directory)
    except OSError:
        return False


def _gateway_of(directory: Path) -> str | None:
    try:
        found = read_format(directory)
    except BadResource:
        return None
    return found.gateway if found else None


def _write(directory: Path, content: DataFormat) -> None:
    draft = directory / f".{FILE}.draft"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        file.write(json.dumps(as_dict(content), indent=1) + "\n")
        file.flush()
        os.fsync(descriptor)
    draft.replace(directory / FILE)
    with _opened(directory) as opened:
        os.fsync(opened)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with _opened(directory) as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
