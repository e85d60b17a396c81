"""One child process of the supervisor across restarts: its pipes, heartbeat and exit status."""

import asyncio
import logging
import math
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress

from qmonus_lite.supervisor_channel import NOTIFY_FD, SUPERVISED
from qmonus_lite.values import Value, field

#: Shell convention: 127 if a command cannot be executed, 128 + n if killed by signal n.
NOT_EXECUTED = 127
ENDED_BY_SIGTERM = 128 + signal.SIGTERM

#: Heartbeat byte of a child, and heartbeat timeout in seconds after which it counts as hung.
HEARTBEAT = b"."
HUNG_AFTER_SECONDS = 10

log = logging.getLogger("qmonus_lite.supervisor")


class Child(Value, frozen=True, kw_only=True):
    """A process to start and restart."""

    #: Name in the log.
    name: str
    #: Command and arguments; not interpreted by a shell.
    argv: tuple[str, ...]
    #: Environment variables added to those of the supervisor.
    environ: Mapping[str, str] = field(default_factory=dict)
    #: Inherited file descriptors, with the same numbers.
    pass_fds: tuple[int, ...] = ()


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

    def on_notify(self, callback: Callable[[bytes], None]) -> None:
        """Call `on_notice` with data of the child: readiness notification, then heartbeats."""
        asyncio.get_running_loop().add_reader(self._notify_reader, self._on_readable, callback)

    def read_remaining(self, callback: Callable[[bytes], None]) -> None:
        """After the exit of the child, read data that the event loop has not yet read."""
        if asyncio.get_running_loop().remove_reader(self._notify_reader):
            self._on_readable(callback)

    def close(self) -> None:
        """Close the supervisor's ends; a child that still runs reads EOF."""
        asyncio.get_running_loop().remove_reader(self._notify_reader)
        os.close(self._death_pipe)
        os.close(self._notify_reader)

    def _on_readable(self, callback: Callable[[bytes], None]) -> None:
        # No data is not an error: orphaned grandchildren may hold the pipe open.
        with suppress(BlockingIOError):
            data = os.read(self._notify_reader, 64)
            if data:
                callback(data)
            else:
                asyncio.get_running_loop().remove_reader(self._notify_reader)


class ManagedProcess:
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
            heartbeat_watch = asyncio.create_task(self._watch_heartbeat(self._process.pid))
            status = await self._process.wait()
            heartbeat_watch.cancel()
            pipes.read_remaining(self._on_notice)
            self.status = status if status >= 0 else 128 - status
        finally:
            self._process = None
            self.settled.set()
            pipes.close()

    def end(self, signal_number: signal.Signals) -> None:
        """Send a signal to the process, or to the next one if none runs."""
        self._pending_signal = signal_number
        self.settled.set()
        if self._process is None or self._process.returncode is not None:
            return
        # Not Process.send_signal: it may reap the process before asyncio does, which then reports
        # a wrong exit status.
        with suppress(ProcessLookupError):
            if signal_number is signal.SIGKILL:
                # The whole process group, including subprocesses of plugins.
                os.killpg(self._process.pid, signal_number)
            else:
                os.kill(self._process.pid, signal_number)

    def reload(self) -> None:
        """Send SIGHUP to a process that listens; one that starts reads everything anyway."""
        if self.listened and self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGHUP)

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

    def _on_notice(self, data: bytes) -> None:
        if data.endswith(HEARTBEAT):
            self._silent_seconds = 0
        if self.listened:
            return
        self.listened = True
        self.settled.set()
        log.info("%s listens", self.name, extra={"action": "child_listening", "child": self.name})
