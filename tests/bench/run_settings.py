"""Settings of a benchmark run: folders on a disk and on a tmpfs, sizes, rounds."""

import os
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Unavailable

#: Bytes that a file is made of, again and again.
_PIECE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What all benchmarks of one run are given."""

    on_disk: Path
    #: None where there is no tmpfs.
    in_memory: Path | None
    #: Bytes of the large file.
    size: int
    #: Counted rounds.
    rounds: int
    #: Seconds of one round with small files.
    seconds: int

    def disk(self, name: str) -> Path:
        """An empty folder on the disk."""
        if file_system(self.on_disk) == "tmpfs":
            raise Unavailable("this folder is on a tmpfs; name one on a disk by --disk=FOLDER")
        return _empty(self.on_disk / name)

    def tmpfs(self, name: str, *, files: int = 2) -> Path:
        """An empty folder on the tmpfs, which has room for so many large files."""
        if self.in_memory is None:
            raise Unavailable("there is no tmpfs to measure on")
        folder = _empty(self.in_memory / name)
        free = shutil.disk_usage(folder).free
        if free < files * self.size:
            needed = gib(files * self.size)
            raise Unavailable(f"the tmpfs has {gib(free)} free, {needed} are needed")
        return folder

    def source(self, size: int) -> Path:
        """A file of about this size that does not compress; on the tmpfs if that has room."""
        for folder in (self.in_memory, self.on_disk):
            if folder is None:
                continue
            file = folder / f"source-{size}.bin"
            if not file.exists() and shutil.disk_usage(folder).free < 4 * size:
                continue
            return file if file.exists() else _written(file, size)
        raise Unavailable(f"there is no room for a file of {gib(size)}")


def gib(size: float) -> str:
    """A size for people."""
    whole = size / (1 << 30)
    return f"{whole:.3g} GiB" if whole >= 1 else f"{size / (1 << 20):.3g} MiB"


def file_system(folder: Path) -> str:
    """The type of the file system that holds a folder."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [words for words in mounts if folder.resolve().is_relative_to(words[1])]
    return max(above, key=lambda words: len(words[1]))[2] if above else "unknown file system"


def sync_time(folder: Path) -> float:
    """Milliseconds that 16 KiB take to stable storage: what every durable upload pays for."""
    times = []
    file = folder / "sync-probe"
    with file.open("wb", buffering=0) as out:
        for _ in range(20):
            out.write(bytes(16 << 10))
            started = time.monotonic()
            os.fsync(out.fileno())
            times.append(time.monotonic() - started)
    file.unlink()
    return statistics.median(times) * 1000


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _written(file: Path, size: int) -> Path:
    piece = os.urandom(_PIECE)
    with file.open("wb") as out:
        for start in range(0, size, _PIECE):
            out.write(piece[: size - start])
    return file
