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

from qmonus_lite.supervisor_channel import NOTIFY_FD, SUPERVISED

#: Exit status of a process that does not start because of what it was told.
REFUSED = 2
#: Exit status that shells give a command that cannot be executed; 128 + n is for signal n.
NOT_EXECUTED = 127
ENDED_BY_SIGTERM = 128 + signal.SIGTERM

#: Seconds before a child is started again: the first time, and at most.
MIN_DELAY_SECONDS = 0.2
MAX_DELAY_SECONDS = 10.0
#: A child that lived for so many seconds was well: its next end counts as the first one again.
STABLE_AFTER_SECONDS = 30.0
#: What a beat of a child's pulse is, and seconds without one after which it is stuck.
HEARTBEAT = b"."
HUNG_AFTER_SECONDS = 10
#: Seconds that a child has to end in after its own drain_timeout; then it is killed.
KILL_GRACE_SECONDS = 5.0

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
    group = _ProcessGroup(drain_timeout, on_stop)
    with group.handling_signals():
        return await group.run(first, others)


def delay_after(previous: float, lived: float) -> float:
    """Seconds until the next start, from the delay before this life and the length of this life."""
    if previous == 0 or lived >= STABLE_AFTER_SECONDS:
        return MIN_DELAY_SECONDS
    return min(previous * 2, MAX_DELAY_SECONDS)


class _ChildPipes:
    """The two pipes between us and one life of a child."""

    def __init__(self) -> None:
        #: Standard input of the child; the kernel closes our end when we are killed.
        self.stdin, self._death_pipe = os.pipe()
        #: The child writes its notice into one end, we hear it at the other.
        try:
            self._notify_reader, self.notify = os.pipe()
        except OSError:
            os.close(self.stdin)
            os.close(self._death_pipe)
            raise
        os.set_blocking(self._notify_reader, False)

    def close_child_ends(self) -> None:
        """Close the child's ends: by now it has them, or it never will."""
        os.close(self.stdin)
        os.close(self.notify)

    def on_notify(self, on_notice: Callable[[bytes], None]) -> None:
        """Call `on_notice` with what the child says: that it listens, then its pulse."""
        asyncio.get_running_loop().add_reader(self._notify_reader, self._listen, on_notice)

    def read_remaining(self, on_notice: Callable[[bytes], None]) -> None:
        """The child is dead: take what it said that the loop has not come round to."""
        if asyncio.get_running_loop().remove_reader(self._notify_reader):
            self._listen(on_notice)

    def close(self) -> None:
        """Close our ends; to a child that still lives this says that we are gone."""
        asyncio.get_running_loop().remove_reader(self._notify_reader)
        os.close(self._death_pipe)
        os.close(self._notify_reader)

    def _listen(self, on_notice: Callable[[bytes], None]) -> None:
        # Nothing to read is no error: what the child left behind may hold the pipe open.
        with suppress(BlockingIOError):
            heard = os.read(self._notify_reader, 64)
            if heard:
                on_notice(heard)
            else:
                asyncio.get_running_loop().remove_reader(self._notify_reader)


class _ManagedProcess:
    """A child over all its lives."""

    def __init__(self, child: Child) -> None:
        self.name = child.name
        self._child = child
        self._process: asyncio.subprocess.Process | None = None
        #: The signal that is to end this life and any that is just beginning.
        self._pending_signal: signal.Signals | None = None
        #: Whether its present or latest life came to listen.
        self.listened = False
        #: Seconds since the last beat of its pulse.
        self._silent_seconds = -math.inf
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

    async def run_once(self) -> None:
        """Live once: from the start of the process to its end."""
        self.listened = False
        # Until its first beat a life has no pulse to lose.
        self._silent_seconds = -math.inf
        try:
            pipes = _ChildPipes()
        except OSError as error:
            self._not_executed(error)
            self.settled.set()
            return
        try:
            self._process = await self._start(pipes)
            if self._process is None:
                return
            pipes.on_notify(self._on_notice)
            if self._pending_signal:
                self.end(self._pending_signal)
            pulse = asyncio.create_task(self._watch_heartbeat(self._process.pid))
            status = await self._process.wait()
            pulse.cancel()
            pipes.read_remaining(self._on_notice)
            self.status = status if status >= 0 else 128 - status
        finally:
            self._process = None
            self.settled.set()
            pipes.close()

    def end(self, how: signal.Signals) -> None:
        """Send a signal to the process, now or as soon as there is one."""
        self._pending_signal = how
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

    async def _start(self, pipes: _ChildPipes) -> asyncio.subprocess.Process | None:
        inherited = {SUPERVISED: "1", NOTIFY_FD: str(pipes.notify), "PYTHONUNBUFFERED": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._child.argv,
                # A pipe of our own making: asyncio would wait for its own to close as well, and
                # what a plugin leaves behind may hold that open for ever.
                stdin=pipes.stdin,
                pass_fds=(pipes.notify, *self._child.pass_fds),
                env={**os.environ, **inherited, **self._child.environ},
                start_new_session=True,
            )
        except OSError as error:
            self._not_executed(error)
            return None
        finally:
            pipes.close_child_ends()
        facts = {"action": "child_started", "child": self.name}
        log.info("%s started as process %s", self.name, process.pid, extra=facts)
        return process

    def _not_executed(self, error: OSError) -> None:
        # Also when there is no memory for one more process, or no descriptor: that may pass.
        facts = {"action": "child_not_executed", "child": self.name}
        log.error("%s cannot be executed: %s", self.name, error, extra=facts)
        self.status = NOT_EXECUTED

    async def _watch_heartbeat(self, pid: int) -> None:
        """Kill a life that had a pulse and lost it: its loop is stuck, and so is all it serves."""
        while self._silent_seconds < HUNG_AFTER_SECONDS:
            await asyncio.sleep(1)
            self._silent_seconds += 1
        facts = {"action": "child_stuck", "child": self.name}
        log.error("%s is stuck for %d s and is killed", self.name, HUNG_AFTER_SECONDS, extra=facts)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def _on_notice(self, words: bytes) -> None:
        if words.endswith(HEARTBEAT):
            self._silent_seconds = 0
        if self.listened:
            return
        self.listened = True
        self.settled.set()
        log.info("%s listens", self.name, extra={"action": "child_listening", "child": self.name})


class _ProcessGroup:
    """The children together: kept until the stop, then ended."""

    def __init__(self, drain_timeout: float, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop
        self._patience = drain_timeout + KILL_GRACE_SECONDS
        self._processes: list[_ManagedProcess] = []
        self._signals = 0
        self._stopping = asyncio.Event()
        #: Exit status of the child that was refused at the door.
        self._refusal: int | None = None

    async def run(self, first: Child, others: Sequence[Child]) -> int:
        """Keep the children until the stop, and see them to their end."""
        async with asyncio.TaskGroup() as group:
            door = self._add(first)
            # Nobody lives in a house without a door: any end before it listens is a refusal.
            group.create_task(self._run_forever(door, is_refusal=lambda status: True))
            await door.settled.wait()
            if not self._stopping.is_set():
                for child in others:
                    process = self._add(child)
                    group.create_task(self._run_forever(process, is_refusal=REFUSED.__eq__))
            await self._stopping.wait()
            killing = asyncio.get_running_loop().call_later(self._patience, self._kill)
        killing.cancel()
        if self._refusal is not None:
            return self._refusal
        return 0 if all(process.ended_cleanly for process in self._processes) else 1

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT stop the family for as long as the block runs."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _add(self, child: Child) -> _ManagedProcess:
        process = _ManagedProcess(child)
        self._processes.append(process)
        return process

    async def _run_forever(
        self, process: _ManagedProcess, *, is_refusal: Callable[[int], bool]
    ) -> None:
        loop = asyncio.get_running_loop()
        delay = 0.0
        while not self._stopping.is_set():
            born = loop.time()
            await process.run_once()
            facts = {"action": "child_exited", "child": process.name, "status": str(process.status)}
            if self._stopping.is_set():
                log.info("%s ended with status %s", process.name, process.status, extra=facts)
                return
            if delay == 0 and not process.listened and is_refusal(process.status):
                text = "%s was refused at its start with status %s; stopping"
                log.error(text, process.name, process.status, extra=facts)
                self._refusal = process.status
                self._stop()
                return
            delay = delay_after(delay, loop.time() - born)
            text = "%s ended with status %s; starting it again in %.1f s"
            log.warning(text, process.name, process.status, delay, extra=facts)
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
        for process in self._processes:
            process.end(signal.SIGTERM)

    def _kill(self) -> None:
        for process in self._processes:
            if process.alive:
                facts = {"action": "child_killed", "child": process.name}
                log.error("%s has not ended and is killed", process.name, extra=facts)
            process.end(signal.SIGKILL)
