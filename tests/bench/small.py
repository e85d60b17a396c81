"""Small uploads: how many a second, and what the question before each one costs."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import load
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


def synchronous(folder: Path) -> AbstractContextManager[Server]:
    """A question before, durable, and an event after every upload."""
    return qmonus_lite(folder, plugins={"gate.yml": GATE, "after.yml": AFTER})


def measure(
    folder: Path,
    start: Callable[[Path], AbstractContextManager[Server]],
    *,
    work: str,
    size: int,
    rounds: int,
    seconds: float,
) -> Iterator[Row]:
    """Rows for 1 and 64 connections, each from some rounds on one running server."""
    with start(folder) as server:
        load.many(server.url + "warm-", connections=8, seconds=2, size=size, token=server.token)
        for connections in (1, 64):
            yield _row(
                server, work, connections, _rounds(server, connections, size, rounds, seconds)
            )


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
