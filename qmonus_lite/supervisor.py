"""Supervisor of `up`: starts APIGW or the writer process, then the others; restarts and stops them.

Each child has its own session, so Ctrl-C in the terminal reaches only the supervisor, which
forwards it as SIGTERM. Two pipes connect it to the child; `supervisor_channel` is the child side.
If the first run of a child exits with status 2 (an invalid flag, a port in use), `up` exits too.
Later runs are restarted instead: a broken plugin, for example, may be repaired soon.
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

#: Exit status of a process that refuses to start because of its configuration.
REFUSED = 2
#: Shell convention: 127 if a command cannot be executed, 128 + n if killed by signal n.
NOT_EXECUTED = 127
ENDED_BY_SIGTERM = 128 + signal.SIGTERM

#: Restart backoff of a child in seconds: first delay and maximum.
MIN_DELAY_SECONDS = 0.2
MAX_DELAY_SECONDS = 10.0
#: Uptime in seconds after which the backoff of a child is reset.
STABLE_AFTER_SECONDS = 30.0
#: Heartbeat byte of a child, and heartbeat timeout in seconds after which it counts as hung.
HEARTBEAT = b"."
HUNG_AFTER_SECONDS = 10
#: Seconds after drain_timeout until a child that has not exited is killed.
KILL_GRACE_SECONDS = 5.0

log = logging.getLogger("qmonus_lite.supervisor")


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process to start and restart."""

    #: Name in the log.
    name: str
    #: Command and arguments; not interpreted by a shell.
    argv: tuple[str, ...]
    #: Environment variables added to those of the supervisor.
    environ: Mapping[str, str] = field(default_factory=dict)
    #: Inherited file descriptors, with the same numbers.
    pass_fds: tuple[int, ...] = ()


async def supervise(
    first: Child,
    others: Sequence[Child],
    *,
    drain_timeout: float,
    on_stop: Callable[[], None] = lambda: None,
) -> int:
    """Run the children until SIGTERM or SIGINT; returns the exit status of `up`.

    `others` are started once `first` listens. `on_stop` is called before the children receive
    SIGTERM. A second signal kills them immediately.
    """
    group = _ProcessGroup(drain_timeout, on_stop)
    with group.handling_signals():
        return await group.run(first, others)


def delay_after(previous: float, lived: float) -> float:
    """Exponential backoff: seconds until the restart, from the previous delay and the uptime."""
    if previous == 0 or lived >= STABLE_AFTER_SECONDS:
        return MIN_DELAY_SECONDS
    return min(previous * 2, MAX_DELAY_SECONDS)


class _ChildPipes:
    """The two pipes between the supervisor and one run of a child."""

    def __init__(self) -> None:
        #: Parent-death pipe, stdin of the child: EOF when the supervisor ends, also by SIGKILL.
        self.stdin, self._death_pipe = os.pipe()
        #: Notify pipe: the child writes readiness notification and heartbeats.
        try:
            self._notify_reader, self.notify = os.pipe()
        except OSError:
            os.close(self.stdin)
            os.close(self._death_pipe)
            raise
        os.set_blocking(self._notify_reader, False)

    def close_child_ends(self) -> None:
        """Close the child's ends in this process, after the fork or its failure."""
        os.close(self.stdin)
        os.close(self.notify)

    def on_notify(self, on_notice: Callable[[bytes], None]) -> None:
        """Call `on_notice` with data of the child: readiness notification, then heartbeats."""
        asyncio.get_running_loop().add_reader(self._notify_reader, self._listen, on_notice)

    def read_remaining(self, on_notice: Callable[[bytes], None]) -> None:
        """After the exit of the child, read data that the event loop has not yet read."""
        if asyncio.get_running_loop().remove_reader(self._notify_reader):
            self._listen(on_notice)

    def close(self) -> None:
        """Close the supervisor's ends; a child that still runs reads EOF."""
        asyncio.get_running_loop().remove_reader(self._notify_reader)
        os.close(self._death_pipe)
        os.close(self._notify_reader)

    def _listen(self, on_notice: Callable[[bytes], None]) -> None:
        # No data is not an error: orphaned grandchildren may hold the pipe open.
        with suppress(BlockingIOError):
            heard = os.read(self._notify_reader, 64)
            if heard:
                on_notice(heard)
            else:
                asyncio.get_running_loop().remove_reader(self._notify_reader)


class _ManagedProcess:
    """A child process across restarts."""

    def __init__(self, child: Child) -> None:
        self.name = child.name
        self._child = child
        self._process: asyncio.subprocess.Process | None = None
        #: Signal to deliver to the current process, or to the process that is being started.
        self._pending_signal: signal.Signals | None = None
        #: Whether the current or latest process has listened.
        self.listened = False
        #: Seconds since the last heartbeat; -inf before the first.
        self._silent_seconds = -math.inf
        #: Set once the first process listens or has ended.
        self.settled = asyncio.Event()
        #: Exit status of the latest process, by shell convention.
        self.status = 0

    @property
    def alive(self) -> bool:
        """Whether a process is running."""
        return self._process is not None

    @property
    def ended_cleanly(self) -> bool:
        """Whether the exit was graceful; SIGTERM before it listened interrupts no requests."""
        return self.status == 0 or (self.status == ENDED_BY_SIGTERM and not self.listened)

    async def run_once(self) -> None:
        """Start the process and wait for its end."""
        self.listened = False
        # The heartbeat timeout applies only after the first heartbeat.
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
        """Send a signal to the process, or to the next one if none runs."""
        self._pending_signal = how
        self.settled.set()
        if self._process is None or self._process.returncode is not None:
            return
        # Not Process.send_signal: it may reap the process before asyncio does, which then reports
        # a wrong exit status.
        with suppress(ProcessLookupError):
            if how is signal.SIGKILL:
                # The whole process group, including subprocesses of plugins.
                os.killpg(self._process.pid, how)
            else:
                os.kill(self._process.pid, how)

    async def _start(self, pipes: _ChildPipes) -> asyncio.subprocess.Process | None:
        inherited = {SUPERVISED: "1", NOTIFY_FD: str(pipes.notify), "PYTHONUNBUFFERED": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._child.argv,
                # Not asyncio's PIPE: wait() would also wait for its EOF, and a subprocess that
                # a plugin left behind may hold it open forever.
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
        # Includes ENOMEM and EMFILE, which may be temporary.
        facts = {"action": "child_not_executed", "child": self.name}
        log.error("%s cannot be executed: %s", self.name, error, extra=facts)
        self.status = NOT_EXECUTED

    async def _watch_heartbeat(self, pid: int) -> None:
        """Kill the process on heartbeat timeout: its event loop is blocked."""
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
    """All children: restarted until the stop, then terminated."""

    def __init__(self, drain_timeout: float, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop
        self._patience = drain_timeout + KILL_GRACE_SECONDS
        self._processes: list[_ManagedProcess] = []
        self._signals = 0
        self._stopping = asyncio.Event()
        #: Exit status of the child that failed at startup.
        self._refusal: int | None = None

    async def run(self, first: Child, others: Sequence[Child]) -> int:
        """Run the children until the stop, then wait for their exit."""
        async with asyncio.TaskGroup() as group:
            door = self._add(first)
            # If the first child exits before it listens, with any status, startup has failed.
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
        """Handle SIGTERM and SIGINT by a stop of all children, during the block."""
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
