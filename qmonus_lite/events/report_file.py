"""The last report of every worker, kept over restarts: `workers.json` of the data directory.

An APIGW that forgot which events a worker handles would judge uploads by the default authorization
although a plugin wants to refuse them. Several processes of an installation write the same file,
one entry at a time, under a lock of the directory; `nodes forget` does it the same way.
"""

import enum
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qmonus_lite.errors import BadPlace

FILE, FORMAT = "workers.json", 1


class State(enum.StrEnum):
    """Whether a worker answers."""

    LIVE = "live"
    #: It stopped answering, and nobody knows why.
    AWAY = "away"
    #: It said that it stops.
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class KeptReport:
    """What a worker last reported."""

    endpoint: str
    #: Names of the events that it has handlers for.
    handles: frozenset[str]
    #: Fingerprint of its plugin set.
    generation: str
    #: Seconds since the epoch at which it said so; 0 for never.
    heard_at: float
    state: State
    #: Seconds since the epoch since which it is in this state.
    since: float
    #: Whether `up` started it: the workers of the next `up` take its place.
    own: bool = False
    #: It counts no more: an operator dropped it, or it stopped and its plugin set lives elsewhere.
    dropped: bool = False

    @property
    def counted(self) -> frozenset[str]:
        """The events that are handled because of it."""
        return frozenset() if self.dropped else self.handles

    def says_the_same(self, other: "KeptReport | None") -> bool:
        """Whether nothing differs that has to be written down."""
        if other is None:
            return False
        return replace(self, heard_at=0, since=0) == replace(other, heard_at=0, since=0)

    def to_json(self) -> dict[str, Any]:
        """The form in the file."""
        return {**vars(self), "handles": sorted(self.handles), "state": self.state.value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "KeptReport":
        """Read the form in the file; raises TypeError, ValueError or KeyError."""
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


Entries = dict[str, KeptReport]


class ReportFile:
    """The file, for one process."""

    def __init__(self, data_dir: Path, *, own: bool = False) -> None:
        """`own` marks what this process writes as the reports of workers that `up` started."""
        self._directory = data_dir
        self._place = data_dir / FILE
        self.own = own
        self._seen: tuple[int, int] | None = None

    @property
    def changed(self) -> bool:
        """Whether another process has written the file since this one read or wrote it."""
        return self._signature() != self._seen

    def read(self) -> Entries:
        """All entries by endpoint; raises BadPlace."""
        self._seen = self._signature()
        return self._entries()

    def _entries(self) -> Entries:
        try:
            value = json.loads(self._place.read_bytes())
            if value["format"] != FORMAT:
                raise ValueError(f"format {value['format']!r} is not one that this version reads")
            return {name: KeptReport.from_json(one) for name, one in value["workers"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadPlace(
                f"{self._place}: not a usable list of workers: {error}; move it aside, and"
                " every worker has to be heard anew before it is known which events are handled"
            ) from None

    def edit(self, change: Callable[[Entries], object]) -> Entries:
        """Change the entries as one step, durably; gives what is there then.

        Raises BadPlace or OSError.
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
                # A command run by root: the service must be able to read what it writes.
                os.chown(descriptor, owner.st_uid, owner.st_gid)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        draft.replace(self._place)
        with _opened(self._directory) as directory:
            os.fsync(directory)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # The directory itself: no lock file that root would make and the service could not open.
        with _opened(self._directory) as directory:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield

    def _signature(self) -> tuple[int, int] | None:
        try:
            found = self._place.stat()
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
