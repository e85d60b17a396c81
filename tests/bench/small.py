"""Small uploads: how many a second, how long one takes, and what the question before each costs."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import load, peers
from tests.bench.figures import Figure, Row, Target, Unavailable, compared, middle
from tests.bench.peers import Starting
from tests.bench.run_settings import RunSettings
from tests.bench.server import AFTER, GATE, Server, qmonus_lite

_KIB = 1 << 10
#: As many APIGWs as processors, as nginx has workers.
SEVERAL = f"--apigw_processes={len(os.sched_getaffinity(0))}"
_QUESTION, _BOTH = {"gate.yml": GATE}, {"gate.yml": GATE, "after.yml": AFTER}


@dataclass(frozen=True, kw_only=True)
class Runner:
    """One server, and the load it is under."""

    start: Starting
    connections: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round found."""

    many: load.Many
    #: Processor milliseconds of the server for one upload.
    cpu_ms: float
    #: Seconds that the server had to do after the last answer: events to deliver.
    behind: float


Rounds = Mapping[str, list[Round]]


def _own_server(*flags: str, plugins: Mapping[str, str] | None = None) -> Starting:
    def start(folder: Path) -> AbstractContextManager[Server]:
        return qmonus_lite(folder, *flags, plugins=plugins)

    return start


def beside_others(settings: RunSettings) -> Row:
    """4 KiB from 16 connections, nothing made durable, beside other upload servers."""
    starts = {
        "ours": _own_server("--upload_durability=none", "--min_free_bytes=0", SEVERAL),
        "ours, one APIGW": _own_server("--upload_durability=none", "--min_free_bytes=0"),
        "wsgidav": peers.wsgidav,
        "copyparty": peers.copyparty,
        "nginx": peers.nginx,
    }
    runners = {
        name: Runner(start=start, connections=16, size=4 * _KIB) for name, start in starts.items()
    }
    notes: list[str] = []
    rounds = measure(settings, settings.tmpfs("small", files=0), runners, notes)
    rates = {name: [round_.many.rate for round_ in found] for name, found in rounds.items()}
    targets = {"wsgidav": 3.0, "copyparty": 2.0}
    figures = [
        figure
        for name, limit in targets.items()
        if name in rates
        for figure in compared(
            "rate", name, rates["ours"], rates[name], Target(limit=limit, at_least=True)
        )
    ]
    return Row(
        key="small",
        title="4 KiB uploads, 16 connections, default authorization, tmpfs, `none` durability",
        rounds=settings.rounds,
        figures=(*figures, *_absolute(rounds)),
        notes=tuple(notes),
    )


def asked(settings: RunSettings) -> Row:
    """4 KiB from 64 connections, the question before each, the outbox, made durable."""
    runners = {
        "handlers for both events": _runner(_BOTH, 64, 4, SEVERAL),
        "handlers for both events, one APIGW": _runner(_BOTH, 64, 4),
        "handler for the question": _runner(_QUESTION, 64, 4, SEVERAL),
    }
    rounds = measure(settings, settings.disk("small"), runners)
    both, *_ = runners
    targets = {both: Target(limit=1000, at_least=True)}
    return Row(
        key="asked",
        title="4 KiB uploads, 64 connections, synchronous event, disk, `full` durability, outbox",
        rounds=settings.rounds,
        figures=(*_absolute(rounds, rate=targets), *_behind(rounds)),
        notes=(
            "The target is for both handlers: the worker also gets each `APIGW.OnFileUploaded`, on"
            " the same two cores; what it had not got by the last answer is shown as seconds.",
            "With a handler for the question alone there is no event to promise, so that nothing is"
            " written to the outbox.",
        ),
    )


def asked_16k(settings: RunSettings) -> Row:
    """The same with 16 KiB, from 64 connections and from one."""
    runners = {
        "64 connections": _runner(_BOTH, 64, 16, SEVERAL),
        "1 connection": _runner(_BOTH, 1, 16, SEVERAL),
        "64 connections, one APIGW": _runner(_BOTH, 64, 16),
        "1 connection, one APIGW": _runner(_BOTH, 1, 16),
    }
    rounds = measure(settings, settings.disk("small"), runners)
    many, single, *_ = runners
    return Row(
        key="asked-16k",
        title="16 KiB uploads, handlers for both events, disk, `full` durability, outbox",
        rounds=settings.rounds,
        figures=(
            *_absolute(
                rounds,
                rate={many: Target(limit=600, at_least=True)},
                p50={single: Target(limit=6)},
                p99={many: Target(limit=400)},
            ),
            *_behind(rounds),
        ),
    )


def price(settings: RunSettings) -> Row:
    """What the question before each upload adds, at one connection."""
    runners = {"without the question": _runner({}, 1, 16), "with it": _runner(_QUESTION, 1, 16)}
    rounds = measure(settings, settings.disk("small"), runners)
    without, with_it = ([round_.many.p50 for round_ in found] for found in rounds.values())
    added = [b - a for a, b in zip(without, with_it, strict=True)]
    return Row(
        key="price",
        title="price of the synchronous event, 16 KiB, 1 connection, disk, `full` durability",
        rounds=settings.rounds,
        figures=(
            middle("added to p50", added, "ms", Target(limit=2)),
            *_absolute(rounds),
        ),
    )


def _runner(plugins: Mapping[str, str], connections: int, kib: int, *flags: str) -> Runner:
    start = _own_server(*flags, plugins=plugins)
    return Runner(start=start, connections=connections, size=kib * _KIB)


def measure(
    settings: RunSettings,
    folder: Path,
    runners: Mapping[str, Runner],
    notes: list[str] | None = None,
) -> dict[str, list[Round]]:
    """Load all of them in turn, A B A B, after one uncounted round; only the loaded one works.

    One that is not here, or fails too often, raises, or is named in `notes` and left out.
    """
    found: dict[str, list[Round]] = {}
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for number in range(settings.rounds + 1):
            for name, runner in runners.items():
                try:
                    if number == 0:
                        (folder / name).mkdir()
                        servers[name] = stack.enter_context(runner.start(folder / name))
                    if name in servers:
                        round_ = _round(servers[name], runner, f"{number}-", settings.seconds)
                        found.setdefault(name, []).append(round_)
                except Unavailable as error:
                    if notes is None or name == "ours":
                        raise
                    notes.append(f"{name} is not measured: {error}")
                    servers.pop(name, None)
                    found.pop(name, None)
    return {name: rounds[1:] for name, rounds in found.items()}


def _round(server: Server, runner: Runner, prefix: str, seconds: int) -> Round:
    before = server.cpu
    many = load.many(
        server, prefix, connections=runner.connections, seconds=seconds, size=runner.size
    )
    behind = server.rest()
    used = (server.cpu - before) * 1000 / many.requests
    # They stay until the end: for minutes after many files went, ext4 looks past each of their
    # inodes whenever it makes a new one, on whichever side.
    stored = [path for path in server.files.rglob(f"{prefix}*") if path.is_file()]
    if len(stored) < many.requests - many.failed:
        answers = f"{len(stored)} files after {many.requests} uploads"
        raise Unavailable(f"{server.name} stored {answers}")
    server.rest()
    return Round(many=many, cpu_ms=used, behind=behind)


def _absolute(
    rounds: Rounds,
    *,
    rate: Mapping[str, Target] | None = None,
    p50: Mapping[str, Target] | None = None,
    p99: Mapping[str, Target] | None = None,
) -> list[Figure]:
    kinds: list[tuple[str, str, Mapping[str, Target], Callable[[Round], float]]] = [
        ("rate", "/s", rate or {}, lambda round_: round_.many.rate),
        ("p50", "ms", p50 or {}, lambda round_: round_.many.p50),
        ("p99", "ms", p99 or {}, lambda round_: round_.many.p99),
        ("processor of one upload", "ms", {}, lambda round_: round_.cpu_ms),
    ]
    return [
        middle(f"{kind}, {name}", [*map(of, found)], unit, targets.get(name))
        for name, found in rounds.items()
        for kind, unit, targets, of in kinds
    ]


def _behind(rounds: Rounds) -> list[Figure]:
    return [
        middle(f"work left after the last answer, {name}", [round_.behind for round_ in found], "s")
        for name, found in rounds.items()
    ]
