"""One large upload: wall time and processor time beside nginx, pair by pair in one run."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import load, peers
from tests.bench.server import Server, qmonus_lite

Starting = Callable[[Path], AbstractContextManager[Server]]
#: Bytes that the file is made of, again and again.
_PIECE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is compared."""

    name: str
    ours: Starting
    theirs: Starting
    #: Headers that we are asked with.
    headers: tuple[str, ...] = ()
    #: A command on the stored file that the peer's time includes.
    then: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Medians of one comparison; ratios are ours to theirs, pair by pair."""

    work: str
    peer: str
    wall: float
    wall_ratio: float
    cpu: float
    cpu_ratio: float
    pairs: int


@dataclass(frozen=True, kw_only=True)
class _Cost:
    wall: float
    cpu: float


def works(durable: bool) -> Iterator[Work]:
    """The comparisons; the durable ones belong on a real disk."""
    if not durable:
        yield Work(name="page cache only", ours=_ours("none"), theirs=peers.nginx)
        yield Work(name="page cache only", ours=_ours("none"), theirs=peers.rclone)
        return
    yield Work(name="durable", ours=_ours("full"), theirs=peers.nginx, then=("sync",))
    yield Work(
        name="durable, SHA-256 asked for",
        ours=_ours("full"),
        theirs=peers.nginx,
        headers=("Want-Repr-Digest: sha-256=1",),
        then=("sha256sum",),
    )


def _ours(durability: str) -> Starting:
    def start(folder: Path) -> AbstractContextManager[Server]:
        return qmonus_lite(folder, f"--upload_durability={durability}", "--min_free_bytes=0")

    return start


def make_file(place: Path, size: int) -> Path:
    """A file of `size` bytes that does not compress."""
    piece = os.urandom(_PIECE)
    with place.open("wb") as out:
        for _ in range(size // _PIECE):
            out.write(piece)
    return place


def measure(folder: Path, work: Work, file: Path, rounds: int) -> Pairs:
    """Upload the file to both in turn, A B A B, after one uncounted round."""
    with work.ours(_made(folder / "ours")) as ours, work.theirs(_made(folder / "theirs")) as theirs:
        pairs = []
        for number in range(rounds + 1):
            a = _cost(ours, file, work.headers, folder / "ours")
            b = _cost(theirs, file, (), folder / "theirs", work.then)
            if number:
                pairs.append((a, b))
    return Pairs(
        work=work.name,
        peer=" + ".join([theirs.name, *work.then]),
        wall=statistics.median(a.wall for a, _b in pairs),
        wall_ratio=statistics.median(a.wall / b.wall for a, b in pairs),
        cpu=statistics.median(a.cpu for a, _b in pairs),
        cpu_ratio=statistics.median(a.cpu / max(b.cpu, 0.01) for a, b in pairs),
        pairs=len(pairs),
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _cost(
    server: Server, file: Path, headers: tuple[str, ...], folder: Path, then: tuple[str, ...] = ()
) -> _Cost:
    token = (f"X-Auth-Token: {server.token}",) if server.token else ()
    before, started = server.cpu, time.monotonic()
    load.one(server.url + "big.bin", file, *token, *headers)
    stored = next(path for path in folder.rglob("big.bin") if path.is_file())
    if then:
        subprocess.run([*then, stored], check=True, capture_output=True)
    wall, cpu = time.monotonic() - started, server.cpu - before
    stored.unlink()
    return _Cost(wall=wall, cpu=cpu)
