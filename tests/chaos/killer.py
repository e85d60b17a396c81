"""Killers: threads that kill a process at random moments and start it again at once."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from qmonus_lite.supervisor import MAX_DELAY_SECONDS
from tests.acceptance.harness import Installation
from tests.acceptance.process import Running, runs, until
from tests.chaos.record import Record

#: Seconds of serving before a kill, at most, and those of a life that is killed while it starts.
LONGEST_LIFE, LONGEST_START = 3.5, 1.0
#: Where a start takes long, a life may be so many times as long as that.
LIFE_TO_START = 2.0
#: Part of the lives that are killed while they start.
STARTUP_KILL_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class KillTarget:
    """What is killed again and again."""

    installation: Installation
    command: str
    flags: tuple[str, ...]
    #: Whether it serves now.
    serves: Callable[[], bool]


@dataclass(kw_only=True)
class Kill:
    """One end of a life."""

    #: From just before the signal until the process was gone.
    began: float
    ended: float
    #: Whether it had not come to serve.
    while_starting: bool


@dataclass(kw_only=True)
class Lives:
    """The lives of one target."""

    processes: list[Running] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)


class Killer(threading.Thread):
    """Kills one target until it is stopped; leaves it running."""

    def __init__(
        self, target: KillTarget, record: Record, *, seed: int, stop: threading.Event
    ) -> None:
        super().__init__(name=f"killer of {target.command}")
        self._target = target
        self._record = record
        self._random = random.Random(f"{seed}/{self.name}")
        self._stop_asked = stop
        self.lives = Lives()

        #: Kills of workers by who kills them among others.
        self.of_workers: list[Kill] = []

    def begin(self) -> Running:
        """Begin a life."""
        running = self._target.installation.start(self._target.command, *self._target.flags)
        self.lives.processes.append(running)
        return running

    def run(self) -> None:
        running = self.lives.processes[-1]
        while not self._live(running):
            self.kill(running)
            running = self.begin()

    def kill(self, running: Running) -> None:
        """End a life."""
        if running.ended:
            self._record.faults.append(f"{self._target.command} ended by itself: {running.stderr}")
        began, while_starting = time.monotonic(), not self._target.serves()
        running.kill()
        self.lives.kills.append(
            Kill(began=began, ended=time.monotonic(), while_starting=while_starting)
        )

    def end_life(self) -> None:
        """End the present life and begin another, after which nobody is killed any more."""
        self.kill(self.lives.processes[-1])
        self.begin()

    def _live(self, running: Running) -> bool:
        """Let it live for a while; whether we were stopped meanwhile."""
        if self._random.random() < STARTUP_KILL_SHARE:
            return self._stop_asked.wait(self._random.uniform(0, LONGEST_START))
        began = time.monotonic()
        while not self._target.serves() and not running.ended:
            if self._stop_asked.wait(0.02):
                return True
        longest = max(LONGEST_LIFE, LIFE_TO_START * (time.monotonic() - began))
        return self._stop_asked.wait(self._random.uniform(0, longest))


class ChildKiller(Killer):
    """Kills children of an `up` with several APIGWs, one at a time; `up` starts them again."""

    #: Seconds between two kills, at most: `up` waits longer and longer before it starts them again.
    LONGEST_GAP = 10.0

    #: Children when all are there.
    _all = 0

    def run(self) -> None:
        running = self.lives.processes[-1]
        self._all = len(running.all_children)
        while not self._stop_asked.wait(self._random.uniform(0, self.LONGEST_GAP)):
            self.kill(running)

    def end_life(self) -> None:
        """End one more child, and wait until `up` has started all of them again."""
        running = self.lives.processes[-1]
        self.kill(running)
        until(lambda: len(running.all_children) == self._all, within=3 * MAX_DELAY_SECONDS)

    def kill(self, running: Running) -> None:
        """End one of the children; an APIGW goes with its writer process, at once."""
        children = running.all_children
        if not children:
            return
        command, pid = self._random.choice(children)
        began, while_starting = time.monotonic(), not self._target.serves()
        # One that was going with its writer process may be gone by itself.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not runs(pid))
        kill = Kill(began=began, ended=time.monotonic(), while_starting=while_starting)
        (self.of_workers if command == "lambda" else self.lives.kills).append(kill)
