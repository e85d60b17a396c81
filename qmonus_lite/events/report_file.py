"""Last report of every worker, persisted over restarts: `workers.json` in the data directory.

Without it a restarted APIGW would not know which events a worker handles, and would apply the
default authorization to uploads that a plugin refuses. Several processes of an installation and
`nodes forget` write the same file, one entry at a time, under a flock of the directory.
"""

import enum
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qmonus_lite.errors import BadResource
from qmonus_lite.values import Value, as_dict, changed

FILE, FORMAT = "workers.json", 1


class State(enum.StrEnum):
    """Whether a worker is up."""

    LIVE = "live"
    #: It does not respond, for an unknown reason.
    AWAY = "away"
    #: It reported that it is stopping.
    STOPPED = "stopped"


class StoredReport(Value, frozen=True, kw_only=True):
    """The last report of a worker, as it is persisted."""

    endpoint: str
    #: Names of the events for which it has handlers.
    handles: frozenset[str]
    #: Fingerprint of its plugin set.
    generation: str
    #: Time of the report in seconds since the epoch; 0 for never.
    heard_at: float
    state: State
    #: Start of this state, in seconds since the epoch.
    since: float
    #: Whether `up` started it: the workers of the next `up` replace it.
    own: bool = False
    #: It no longer counts: an operator dropped it, or it stopped and another live worker has its
    #: plugin set.
    dropped: bool = False

    @property
    def counted(self) -> frozenset[str]:
        """Its events, or none if it is dropped."""
        return frozenset() if self.dropped else self.handles

    def is_equivalent(self, other: "StoredReport | None") -> bool:
        """Whether both are equal except for the times, so that no write is needed."""
        if other is None:
            return False
        return changed(self, heard_at=0, since=0) == changed(other, heard_at=0, since=0)

    def to_json(self) -> dict[str, Any]:
        """The JSON value in the file."""
        return {**as_dict(self), "handles": sorted(self.handles), "state": self.state.value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "StoredReport":
        """Parse the JSON value of the file; raises TypeError, ValueError or KeyError."""
        return cls(
            endpoint=str(value["endpoint"]),
            handles=frozenset(map(str, value["handles"])),
            generation=str(value["generation"]),
            heard_at=float(value["heard_at"]),
            state=State(value["state"]),
            since=float(value["since"]),
            own=value["own"] is True,
            dropped=value["dropped"] is True,
        )


Entries = dict[str, StoredReport]


class ReportFile:
    """Access of one process to the file."""

    def __init__(self, data_dir: Path, *, own: bool = False) -> None:
        """`own`: the reports that this process writes are of workers that `up` started."""
        self._directory = data_dir
        self._path = data_dir / FILE
        self.own = own
        self._seen: tuple[int, int] | None = None

    @property
    def changed(self) -> bool:
        """Whether another process has written the file since this process read or wrote it."""
        return self._signature() != self._seen

    def read(self) -> Entries:
        """All entries by endpoint; raises BadResource."""
        self._seen = self._signature()
        return self._entries()

    def _entries(self) -> Entries:
        try:
            value = json.loads(self._path.read_bytes())
            if value["format"] != FORMAT:
                raise ValueError(f"format {value['format']!r} is not one that this version reads")
            return {name: StoredReport.from_json(entry) for name, entry in value["workers"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadResource(
                f"{self._path}: not a usable list of workers: {error}; move it aside, and"
                " every worker has to be heard anew before it is known which events are handled"
            ) from None

    def edit(self, change: Callable[[Entries], object]) -> Entries:
        """Change the entries atomically, with fsync; returns the entries afterwards.

        Raises BadResource or OSError.
        """
        with self._alone():
            unseen = self.changed
            entries = self._entries()
            before = dict(entries)
            change(entries)
            if entries != before:
                self._write(entries)
            if not unseen:
                self._seen = self._signature()
            return entries

    def _write(self, entries: Entries) -> None:
        workers = {name: entries[name].to_json() for name in sorted(entries)}
        text = json.dumps({"format": FORMAT, "workers": workers}, indent=1) + "\n"
        draft = self._directory / f".{FILE}.draft"
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w") as file:
            owner = self._directory.stat()
            if os.geteuid() != owner.st_uid:
                # A command run by root: the service must be able to read the file.
                os.chown(descriptor, owner.st_uid, owner.st_gid)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        draft.replace(self._path)
        with _opened(self._directory) as directory:
            os.fsync(directory)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # flock of the directory: a lock file created by root could not be opened by the service.
        with _opened(self._directory) as directory:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield

    def _signature(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
