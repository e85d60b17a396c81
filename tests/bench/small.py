"""Small uploads: how many a second, and what the question before each one costs."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import load, peers
from tests.bench.server import AFTER, GATE, Server, qmonus_lite


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: medians over the rounds."""

    server: str
    work: str
    connections: int
    rate: float
    p50: float
    p99: float
    #: Processor milliseconds that the server used for one upload.
    cpu_ms: float
    failed: int


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is measured."""

    name: str
    start: Callable[[Path], AbstractContextManager[Server]]
    size: int
    connections: tuple[int, ...]
    in_memory: bool = False


def works() -> Iterator[Work]:
    """The benches of small uploads."""
    full = "event before and after, full durability"
    yield Work(name=f"16 KiB, {full}", start=_asked, size=16 << 10, connections=(1, 64))
    yield Work(name=f"4 KiB, {full}", start=_asked, size=4 << 10, connections=(64,))
    yield Work(name="16 KiB, full durability", start=_plain, size=16 << 10, connections=(1,))
    for start in (_unsafe, peers.wsgidav, peers.copyparty, peers.nginx):
        yield Work(
            name="4 KiB, page cache only", start=start, size=4096, connections=(16,), in_memory=True
        )


def _asked(folder: Path) -> AbstractContextManager[Server]:
    """A question before, durable, and an event after every upload."""
    return qmonus_lite(folder, plugins={"gate.yml": GATE, "after.yml": AFTER})


def _plain(folder: Path) -> AbstractContextManager[Server]:
    """Default authorization, durable."""
    return qmonus_lite(folder, name="qmonus_lite without plugins")


def _unsafe(folder: Path) -> AbstractContextManager[Server]:
    """Default authorization, nothing on stable storage."""
    return qmonus_lite(folder, "--upload_durability=none", "--min_free_bytes=0")


def measure(folder: Path, work: Work, *, rounds: int, seconds: float) -> Iterator[Row]:
    """A row for each number of connections, each from some rounds on one running server."""
    folder.mkdir()
    with work.start(folder) as server:
        warm = server.url + "warm-"
        load.many(warm, connections=8, seconds=2, size=work.size, token=server.token)
        for connections in work.connections:
            found = _rounds(server, connections, work.size, rounds, seconds)
            yield _row(server, work.name, connections, found)


def _rounds(
    server: Server, connections: int, size: int, rounds: int, seconds: float
) -> list[tuple[load.Many, float]]:
    found = []
    for number in range(rounds):
        before = server.cpu
        figures = load.many(
            f"{server.url}{connections}-{number}-",
            connections=connections,
            seconds=seconds,
            size=size,
            token=server.token,
        )
        used = (server.cpu - before) / max(1.0, figures.rate * seconds) * 1000
        found.append((figures, used))
    return found


def _row(server: Server, work: str, connections: int, found: list[tuple[load.Many, float]]) -> Row:
    figures = [one for one, _used in found]
    return Row(
        server=server.name,
        work=work,
        connections=connections,
        rate=statistics.median(one.rate for one in figures),
        p50=statistics.median(one.p50 for one in figures),
        p99=statistics.median(one.p99 for one in figures),
        cpu_ms=statistics.median(used for _one, used in found),
        failed=sum(one.failed for one in figures),
    )
