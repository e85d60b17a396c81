"""The metrics of all processes of a data directory: their files, and the sums of ended ones.

Where they are: in memory (`/dev/shm`), in a directory named after the data directory. Not in the
data directory: a write to mapped memory may wait for the disk (docs/decisions/metrics.md).
"""

import fcntl
import hashlib
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qmonus_lite.metrics import slots
from qmonus_lite.metrics.definitions import BY_NAME, MetricSource
from qmonus_lite.metrics.families import SEPARATOR
from qmonus_lite.metrics.procfs import started_at
from qmonus_lite.metrics.slots import Slots, Values
from qmonus_lite.values import Value

logger = logging.getLogger(__name__)

MEMORY = Path("/dev/shm")
#: File with the sums of ended processes; lock of who changes it; link to the data directory.
_ENDED, _LOCK, _OWNER = "ended", "lock", "data_dir"
_OWN = frozenset({_ENDED, _LOCK, _OWNER})
#: Begin of the keys in _ENDED that name the files that are in its sums.
_FOLDED = "folded" + SEPARATOR
#: Seconds that a scrape waits for the lock before it reads without folding.
MAX_LOCK_SECONDS = 1.0


class RunningProcess(Value, frozen=True, kw_only=True):
    """A process that runs, with all that its file says."""

    name: str
    pid: int
    #: Start in clock ticks after the boot: tells the process from another one of the same id.
    started: int
    values: Values


class Snapshot(Value, frozen=True, kw_only=True):
    """All files, read at one time."""

    #: Sums of what all processes counted, also ended ones.
    counted: Values
    running: tuple[RunningProcess, ...]


class MetricsDirectory:
    """The directory; its files are used by processes of one user."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(
        cls, data_dir: Path, chosen: Path | None, *, memory: Path = MEMORY
    ) -> "MetricsDirectory":
        """Make it: the chosen one, else in memory, else in the data directory; raises OSError."""
        if chosen is not None:
            chosen.mkdir(mode=0o700, parents=True, exist_ok=True)
            return cls(chosen)
        digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
        path = memory / f"{_prefix()}{digest}"
        try:
            _sweep(memory)
            _make_private(path)
            with suppress(FileExistsError):
                os.symlink(data_dir, path / _OWNER)
        except OSError:
            path = data_dir / "metrics"
            path.mkdir(mode=0o700, exist_ok=True)
        return cls(path)

    def begin(self, process: str) -> Slots:
        """The slots of this process, which other processes see while it runs and afterwards.

        If there is no space for them, in memory that no other process sees; that is logged.
        """
        pid = os.getpid()
        try:
            self.snapshot(max_wait=0)
            path = self.path / f"{process}.{pid}.{started_at(pid)}"
            return Slots(slots.create(path))
        except OSError as error:
            text = "%s: %s; no scrape sees the metrics of this process"
            extra = {"action": "metrics_unshared"}
            logger.warning(text, self.path, error.strerror or error, extra=extra)
            return Slots()

    def snapshot(self, *, max_wait: float = MAX_LOCK_SECONDS) -> Snapshot:
        """Read all files, and fold those of ended processes into one. Blocks; raises OSError.

        While another process folds for more than `max_wait` seconds, only reads.
        """
        with self._alone(max_wait) as alone:
            counted, folded = self._sums_of_ended()
            running: list[RunningProcess] = []
            ended: list[Path] = []
            for path in self._files():
                if path.name in folded:
                    ended.append(path)
                    continue
                values, has_ended = _read(path)
                if has_ended:
                    _add(counted, values)
                    ended.append(path)
                else:
                    running.append(_process(path, values))
            if alone and ended:
                # Without space for the sums the files stay, and are added up by each scrape.
                with suppress(OSError):
                    self._fold(counted, ended)
        for process in running:
            _add(counted, process.values)
        return Snapshot(counted=counted, running=tuple(running))

    def _files(self) -> list[Path]:
        names = sorted(entry.name for entry in os.scandir(self.path) if entry.is_file())
        return [self.path / name for name in names if name not in _OWN and not name.startswith(".")]

    def _sums_of_ended(self) -> tuple[Values, set[str]]:
        """The sums of ended processes, and the names of files that are in them already."""
        try:
            values, _ = _read(self.path / _ENDED)
        except FileNotFoundError:
            return {}, set()
        folded = {key.removeprefix(_FOLDED) for key in values if key.startswith(_FOLDED)}
        counted: Values = {}
        _add(counted, values)
        return counted, folded

    def _fold(self, counted: Values, ended: list[Path]) -> None:
        """Keep the sums and remove the files; a file that stays behind is not added again.

        Raises OSError, and then has changed nothing.
        """
        marks = {_FOLDED + path.name: [1.0] for path in ended}
        slots.write(self.path / _ENDED, {**counted, **marks})
        for path in ended:
            path.unlink(missing_ok=True)

    @contextmanager
    def _alone(self, max_wait: float) -> Iterator[bool]:
        """Hold the lock during the block; whether it could be had within `max_wait` seconds."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self.path / _LOCK, flags, 0o600)
        try:
            yield _locked(descriptor, time.monotonic() + max_wait)
        finally:
            os.close(descriptor)


def _locked(descriptor: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _read(path: Path) -> tuple[Values, bool]:
    """The values of a file, none if another version made it; whether its process has ended."""
    with slots.opened(path) as (descriptor, has_ended):
        try:
            return slots.read(descriptor), has_ended
        except ValueError:
            return {}, has_ended


def _process(path: Path, values: Values) -> RunningProcess:
    name, pid, started = path.name.rsplit(".", 2)
    return RunningProcess(name=name, pid=int(pid), started=int(started), values=values)


def _add(sums: Values, values: Values) -> None:
    """Add what was counted; what is measured, or is of another version's form, is left out."""
    for key, value in values.items():
        metric = BY_NAME.get(key.partition(SEPARATOR)[0])
        if (
            metric is None
            or metric.source is not MetricSource.COUNTED
            or len(value) != metric.width
        ):
            continue
        before = sums.get(key)
        if before is None:
            sums[key] = value
        else:
            sums[key] = [a + b for a, b in zip(before, value, strict=True)]


def _prefix() -> str:
    return f"qmonus-lite-{os.geteuid()}-"


def _make_private(path: Path) -> None:
    """A directory that is ours alone; raises PermissionError if it is another user's."""
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{path}: is not a directory of this user alone")


def _sweep(memory: Path) -> None:
    """Remove the directories of data directories that are gone, unless a process still runs."""
    for path in memory.glob(f"{_prefix()}*"):
        owner = path / _OWNER
        with suppress(OSError):
            if owner.is_symlink() and not owner.exists() and not _in_use(path):
                shutil.rmtree(path)


def _in_use(path: Path) -> bool:
    for file in MetricsDirectory(path)._files():
        with slots.opened(file) as (_, has_ended):
            if not has_ended:
                return True
    return False
