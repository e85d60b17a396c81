"""`up`: starts the APIGW or its keeper, then the rest, and again what dies; ends them as one.

A child has a session of its own, so a Ctrl-C in the terminal reaches only us, and we pass it on as
SIGTERM. Two pipes tie it to us; `lifeline` is their other end. The first life of a child may be
refused at the door (exit status 2: a bad flag, a port in use), and then `up` is refused too. Later
lives are not judged so: what is wrong with a plugin now may be mended in a minute.
"""

import asyncio
import logging
import math
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from qmonus_lite.lifeline import NOTIFY_FD, SUPERVISED

#: Exit status of a process that does not start because of what it was told.
REFUSED = 2
#: Exit status that shells give a command that cannot be executed; 128 + n is for signal n.
NOT_EXECUTED = 127
ENDED_BY_SIGTERM = 128 + signal.SIGTERM

#: Seconds before a child is started again: the first time, and at most.
SHORTEST_DELAY = 0.2
LONGEST_DELAY = 10.0
#: A child that lived for so many seconds was well: its next end counts as the first one again.
WELL_AFTER = 30.0
#: What a beat of a child's pulse is, and seconds without one after which it is stuck.
PULSE = b"."
STUCK_AFTER = 10
#: Seconds that a child has to end in after its own drain_timeout; then it is killed.
GRACE = 5.0

log = logging.getLogger("qmonus_lite.supervisor")


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process to keep running."""

    #: What the log calls it.
    name: str
    #: The command and its arguments; no shell reads them.
    argv: tuple[str, ...]
    #: What it finds in its environment besides ours.
    environ: Mapping[str, str] = field(default_factory=dict)
    #: File descriptors that it inherits, under the same numbers.
    pass_fds: tuple[int, ...] = ()


async def supervise(
    first: Child,
    others: Sequence[Child],
    *,
    drain_timeout: float,
    on_stop: Callable[[], None] = lambda: None,
) -> int:
    """Run the children until SIGTERM or SIGINT; gives the exit status of `up`.

    `others` are started once `first` listens. `on_stop` is called before they are told to stop. A
    second signal kills at once.
    """
    family = _Family(drain_timeout, on_stop)
    with family.obeying_signals():
        return await family.run(first, others)


def delay_after(previous: float, lived: float) -> float:
    """Seconds until the next start, from the delay before this life and the length of this life."""
    if previous == 0 or lived >= WELL_AFTER:
        return SHORTEST_DELAY
    return min(previous * 2, LONGEST_DELAY)


class _Ties:
    """The two pipes between us and one life of a child."""

    def __init__(self) -> None:
        #: Standard input of the child; the kernel closes our end when we are killed.
        self.stdin, self._cord = os.pipe()
        #: The child writes its notice into one end, we hear it at the other.
        try:
            self._ear, self.notify = os.pipe()
        except OSError:
            os.close(self.stdin)
            os.close(self._cord)
            raise
        os.set_blocking(self._ear, False)

    def hand_over(self) -> None:
        """Close the child's ends: by now it has them, or it never will."""
        os.close(self.stdin)
        os.close(self.notify)

    def hear(self, on_notice: Callable[[bytes], None]) -> None:
        """Call `on_notice` with what the child says: that it listens, then its pulse."""
        asyncio.get_running_loop().add_reader(self._ear, self._listen, on_notice)

    def hear_last_words(self, on_notice: Callable[[bytes], None]) -> None:
        """The child is dead: take what it said that the loop has not come round to."""
        if asyncio.get_running_loop().remove_reader(self._ear):
            self._listen(on_notice)

    def cut(self) -> None:
        """Close our ends; to a child that still lives this says that we are gone."""
        asyncio.get_running_loop().remove_reader(self._ear)
        os.close(self._cord)
        os.close(self._ear)

    def _listen(self, on_notice: Callable[[bytes], None]) -> None:
        # Nothing to read is no error: what the child left behind may hold the pipe open.
        with suppress(BlockingIOError):
            heard = os.read(self._ear, 64)
            if heard:
                on_notice(heard)
            else:
                asyncio.get_running_loop().remove_reader(self._ear)


class _Kept:
    """A child over all its lives."""

    def __init__(self, child: Child) -> None:
        self.name = child.name
        self._child = child
        self._process: asyncio.subprocess.Process | None = None
        #: The signal that is to end this life and any that is just beginning.
        self._sentence: signal.Signals | None = None
        #: Whether its present or latest life came to listen.
        self.listened = False
        #: Seconds since the last beat of its pulse.
        self._silent = -math.inf
        #: Set once its first life listens or has ended.
        self.settled = asyncio.Event()
        #: How its latest life ended, as a shell puts it.
        self.status = 0

    @property
    def alive(self) -> bool:
        """Whether a process of its runs now."""
        return self._process is not None

    @property
    def ended_cleanly(self) -> bool:
        """Whether nothing was cut off; who never listened had nothing to bring to an end."""
        return self.status == 0 or (self.status == ENDED_BY_SIGTERM and not self.listened)

    async def live(self) -> None:
        """Live once: from the start of the process to its end."""
        self.listened = False
        # Until its first beat a life has no pulse to lose.
        self._silent = -math.inf
        try:
            ties = _Ties()
        except OSError as error:
            self._not_executed(error)
            self.settled.set()
            return
        try:
            self._process = await self._start(ties)
            if self._process is None:
                return
            ties.hear(self._on_notice)
            if self._sentence:
                self.end(self._sentence)
            pulse = asyncio.create_task(self._feel_pulse(self._process.pid))
            status = await self._process.wait()
            pulse.cancel()
            ties.hear_last_words(self._on_notice)
            self.status = status if status >= 0 else 128 - status
        finally:
            self._process = None
            self.settled.set()
            ties.cut()

    def end(self, how: signal.Signals) -> None:
        """Send a signal to the process, now or as soon as there is one."""
        self._sentence = how
        self.settled.set()
        if self._process is None or self._process.returncode is not None:
            return
        # Not by Process.send_signal: it may reap the process before asyncio does, which then
        # makes up an exit status.
        with suppress(ProcessLookupError):
            if how is signal.SIGKILL:
                # The whole group: what a plugin started goes too.
                os.killpg(self._process.pid, how)
            else:
                os.kill(self._process.pid, how)

    async def _start(self, ties: _Ties) -> asyncio.subprocess.Process | None:
        inherited = {SUPERVISED: "1", NOTIFY_FD: str(ties.notify), "PYTHONUNBUFFERED": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._child.argv,
                # A pipe of our own making: asyncio would wait for its own to close as well, and
                # what a plugin leaves behind may hold that open for ever.
                stdin=ties.stdin,
                pass_fds=(ties.notify, *self._child.pass_fds),
                env={**os.environ, **inherited, **self._child.environ},
                start_new_session=True,
            )
        except OSError as error:
            self._not_executed(error)
            return None
        finally:
            ties.hand_over()
        facts = {"action": "child_started", "child": self.name}
        log.info("%s started as process %s", self.name, process.pid, extra=facts)
        return process

    def _not_executed(self, error: OSError) -> None:
        # Also when there is no memory for one more process, or no descriptor: that may pass.
        facts = {"action": "child_not_executed", "child": self.name}
        log.error("%s cannot be executed: %s", self.name, error, extra=facts)
        self.status = NOT_EXECUTED

    async def _feel_pulse(self, pid: int) -> None:
        """Kill a life that had a pulse and lost it: its loop is stuck, and so is all it serves."""
        while self._silent < STUCK_AFTER:
            await asyncio.sleep(1)
            self._silent += 1
        facts = {"action": "child_stuck", "child": self.name}
        log.error("%s is stuck for %d s and is killed", self.name, STUCK_AFTER, extra=facts)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def _on_notice(self, words: bytes) -> None:
        if words.endswith(PULSE):
            self._silent = 0
        if self.listened:
            return
        self.listened = True
        self.settled.set()
        log.info("%s listens", self.name, extra={"action": "child_listening", "child": self.name})


class _Family:
    """The children together: kept until the stop, then ended."""

    def __init__(self, drain_timeout: float, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop
        self._patience = drain_timeout + GRACE
        self._kept: list[_Kept] = []
        self._signals = 0
        self._stopping = asyncio.Event()
        #: Exit status of the child that was refused at the door.
        self._refusal: int | None = None

    async def run(self, first: Child, others: Sequence[Child]) -> int:
        """Keep the children until the stop, and see them to their end."""
        async with asyncio.TaskGroup() as group:
            door = self._take_in(first)
            # Nobody lives in a house without a door: any end before it listens is a refusal.
            group.create_task(self._keep(door, is_refusal=lambda status: True))
            await door.settled.wait()
            if not self._stopping.is_set():
                for child in others:
                    kept = self._take_in(child)
                    group.create_task(self._keep(kept, is_refusal=REFUSED.__eq__))
            await self._stopping.wait()
            killing = asyncio.get_running_loop().call_later(self._patience, self._kill)
        killing.cancel()
        if self._refusal is not None:
            return self._refusal
        return 0 if all(kept.ended_cleanly for kept in self._kept) else 1

    @contextmanager
    def obeying_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT stop the family for as long as the block runs."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _take_in(self, child: Child) -> _Kept:
        kept = _Kept(child)
        self._kept.append(kept)
        return kept

    async def _keep(self, kept: _Kept, *, is_refusal: Callable[[int], bool]) -> None:
        loop = asyncio.get_running_loop()
        delay = 0.0
        while not self._stopping.is_set():
            born = loop.time()
            await kept.live()
            facts = {"action": "child_exited", "child": kept.name, "status": str(kept.status)}
            if self._stopping.is_set():
                log.info("%s ended with status %s", kept.name, kept.status, extra=facts)
                return
            if delay == 0 and not kept.listened and is_refusal(kept.status):
                text = "%s was refused at its start with status %s; stopping"
                log.error(text, kept.name, kept.status, extra=facts)
                self._refusal = kept.status
                self._stop()
                return
            delay = delay_after(delay, loop.time() - born)
            text = "%s ended with status %s; starting it again in %.1f s"
            log.warning(text, kept.name, kept.status, delay, extra=facts)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    def _on_signal(self, number: signal.Signals) -> None:
        self._signals += 1
        if self._signals > 1:
            self._kill()
            return
        facts = {"action": "stop_asked", "signal": number.name}
        log.info("%s: stopping; once more kills", number.name, extra=facts)
        self._stop()

    def _stop(self) -> None:
        self._on_stop()
        self._stopping.set()
        for kept in self._kept:
            kept.end(signal.SIGTERM)

    def _kill(self) -> None:
        for kept in self._kept:
            if kept.alive:
                facts = {"action": "child_killed", "child": kept.name}
                log.error("%s has not ended and is killed", kept.name, extra=facts)
            kept.end(signal.SIGKILL)
