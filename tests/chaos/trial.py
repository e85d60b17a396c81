"""A trial: the processes, the clients and the killers of one seed, and what came of them."""

import json
import random
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.harness import Installation
from tests.acceptance.process import listens, until
from tests.chaos.checker import Evidence, broken_rules
from tests.chaos.clients import Client, Plan
from tests.chaos.killer import ChildKiller, Kill, Killer, KillTarget
from tests.chaos.logs import read_logs
from tests.chaos.plugins import RECORDING_HANDLER, Gate
from tests.chaos.reader import Reader, look
from tests.chaos.record import End, Record

#: Clients at once.
CLIENTS = 8
#: Seconds that events have to be delivered in when all is quiet; a back-off may be long by then.
QUIET = 120.0
#: How many times longer than asked for a trial may go on.
PATIENCE = 3
FLAGS = ("--log_format=json", "--token_ttl=24h", "--lambda_sync_timeout=2")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a trial."""

    #: What happened, by name.
    figures: dict[str, int | float]
    #: What should not have, by rule; every list should be empty.
    faults: dict[str, list[str]]

    @property
    def summary(self) -> str:
        """All of it in one line."""
        counts = {rule: len(breaches) for rule, breaches in self.faults.items()}
        named = [*self.figures.items(), *counts.items()]
        return ", ".join(f"{name} {value}" for name, value in named)


class Trial:
    """One trial in a folder of its own."""

    def __init__(self, folder: Path, *, seed: int, apigws: int = 1) -> None:
        """With one APIGW, it and its worker are killed; with several, children of their `up`."""
        self._seed = seed
        self._installation = Installation(folder)
        self._installation.plugin("recording-handler.yml", RECORDING_HANDLER)
        self._record = Record()
        self._stop_kills = threading.Event()
        self._killers: list[Killer] = (
            [self._child_killer(apigws)]
            if apigws > 1
            else [
                self._killer("apigw", lambda: self._installation.live),
                self._killer("lambda", lambda: listens(self._installation.lambda_port)),
            ]
        )
        self._apigw, self._worker = self._killers[0], self._killers[-1]

    def run(self, seconds: float, *, least: Mapping[str, int] | None = None) -> Result:
        """Let it go on for so long, then see everything to a quiet end, and check the rules.

        On a busy machine it may take up to `PATIENCE` times as long to reach the `least` figures.
        """
        try:
            for killer in self._killers:
                killer.begin()
            until(lambda: self._installation.ready, report=lambda: self._installation.log)
            began = time.monotonic()
            self._run_load(seconds, least or {})
            took = time.monotonic() - began
            quiet = self._settle()
            return self._check(took, quiet)
        finally:
            self._installation.end()

    def _killer(self, command: str, serves: Callable[[], bool]) -> Killer:
        target = KillTarget(
            installation=self._installation, command=command, flags=FLAGS, serves=serves
        )
        return Killer(target, self._record, seed=self._seed, stop=self._stop_kills)

    def _child_killer(self, apigws: int) -> Killer:
        target = KillTarget(
            installation=self._installation,
            command="up",
            flags=(*FLAGS, f"--apigw_processes={apigws}"),
            serves=lambda: self._installation.live,
        )
        return ChildKiller(target, self._record, seed=self._seed, stop=self._stop_kills)

    def _run_load(self, seconds: float, least: Mapping[str, int]) -> None:
        """Clients, readers and killers together; the killers outlive the clients by a moment."""
        stop = threading.Event()
        plan = Plan(
            port=self._installation.port,
            token=self._installation.token,
            seed=self._seed,
            record=self._record,
            stop=stop,
        )
        threads: list[threading.Thread] = [Client(plan, number) for number in range(CLIENTS)]
        threads.append(Reader(self._installation.base, self._record, seed=self._seed, stop=stop))
        threads.append(Gate(self._installation, seed=self._seed, stop=stop))
        killers = self._killers
        with _faults_of_threads(self._record):
            for thread in (*killers, *threads):
                thread.start()
            time.sleep(seconds)
            with suppress(AssertionError):
                until(lambda: self._reached(least), within=seconds * (PATIENCE - 1))
            stop.set()
            for thread in threads:
                thread.join()
            self._stop_kills.set()
            for killer in killers:
                killer.join()

    def _reached(self, least: Mapping[str, int]) -> bool:
        acknowledged = self._record.ends()[End.ACKNOWLEDGED]
        reached = {"kills": len(self._kills()), "acknowledged": acknowledged}
        return all(reached[name] >= wanted for name, wanted in least.items())

    def _kills(self) -> list[Kill]:
        return [
            kill for killer in self._killers for kill in (*killer.lives.kills, *killer.of_workers)
        ]

    def _settle(self) -> float:
        """One more kill and start of both, then wait for every event; gives the seconds it took."""
        for killer in self._killers:
            killer.end_life()
        until(lambda: self._installation.ready, report=lambda: self._installation.log)
        began = time.monotonic()
        with suppress(AssertionError):
            until(lambda: not self._waiting(), within=QUIET)
        took = time.monotonic() - began
        for event in self._waiting():
            self._record.faults.append(f"still in the outbox: {event}")
        for path in self._leftovers():
            self._record.faults.append(f"left over: {path}")
        for killer in self._killers:
            status = killer.lives.processes[-1].stop()
            if status != 0:
                self._record.faults.append(f"{killer.name}: exit status {status} at the end")
        return took

    def _waiting(self) -> list[Any]:
        """What is in the outbox."""
        request = urllib.request.Request(
            f"{self._installation.url}/-/events",
            headers={"X-Auth-Token": self._installation.token},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            events: list[Any] = json.load(answer)["events"]
        return events

    def _leftovers(self) -> list[str]:
        """Files at paths that were never uploaded to, and temporary files of the data directory."""
        wanted = {path[1:] for path in self._record.by_path()}
        base = self._installation.base
        stored = [name for name in self._installation.stored() if not (base / name).is_dir()]
        temporary = [str(path) for path in self._installation.data.glob(".*")]
        return [name for name in stored if name not in wanted] + temporary

    def _check(self, seconds: float, quiet: float) -> Result:
        end = Record()
        for path in self._record.by_path():
            look(self._installation.base, path, end)
        self._record.faults += end.faults
        evidence = Evidence(
            record=self._record,
            logged=read_logs(self._apigw.lives.processes, self._worker.lives.processes),
            end={sighting.path: sighting for sighting in end.sightings},
            kills=self._apigw.lives.kills,
        )
        return Result(
            figures=self._figures(evidence, seconds, quiet), faults=broken_rules(evidence)
        )

    def _figures(self, evidence: Evidence, seconds: float, quiet: float) -> dict[str, int | float]:
        ends = self._record.ends()
        kills = self._kills()
        events = evidence.logged.runs()
        return {
            "seed": self._seed,
            "seconds": round(seconds, 1),
            "kills": len(kills),
            "of apigw": len(self._apigw.lives.kills),
            "while starting": sum(kill.while_starting for kill in kills),
            **{end.value: ends[end] for end in End},
            "events": len(events),
            "by the gate": sum(runs[0].asked for runs in events.values()),
            "duplicates": len(evidence.logged.seen) - len(events),
            "sightings": len(self._record.sightings),
            "seconds to quiet": round(quiet, 1),
        }


@contextmanager
def _faults_of_threads(record: Record) -> Iterator[None]:
    """Put on record what threads raise inside the block."""
    former = threading.excepthook

    def note(failure: threading.ExceptHookArgs) -> None:
        record.faults.append(f"{failure.thread}: {failure.exc_value!r}")
        former(failure)

    threading.excepthook = note
    try:
        yield
    finally:
        threading.excepthook = former


def seed_by_chance() -> int:
    """A seed for whoever has none."""
    return random.SystemRandom().randrange(1 << 32)
