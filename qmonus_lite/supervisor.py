"""Supervisor of `up`: starts APIGW or the writer process, then the others; restarts and stops them.

Each child has its own session, so Ctrl-C in the terminal reaches only the supervisor, which
forwards it as SIGTERM. Two pipes connect it to the child; `supervisor_channel` is the child side.
If the first run of a child exits with status 2 (an invalid flag, a port in use), `up` exits too.
Later runs are restarted instead: a broken plugin, for example, may be repaired soon.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from qmonus_lite.child_process import Child, ManagedProcess

#: Exit status of a process that refuses to start because of its configuration.
REFUSED = 2

#: Restart backoff of a child in seconds: first delay and maximum.
MIN_DELAY_SECONDS = 0.2
MAX_DELAY_SECONDS = 10.0
#: Uptime in seconds after which the backoff of a child is reset.
STABLE_AFTER_SECONDS = 30.0
#: Seconds after drain_timeout until a child that has not exited is killed.
KILL_GRACE_SECONDS = 5.0

log = logging.getLogger("qmonus_lite.supervisor")


async def supervise(
    first: Child,
    others: Sequence[Child],
    *,
    drain_timeout: float,
    on_stop: Callable[[], None] = lambda: None,
) -> int:
    """Run the children until SIGTERM or SIGINT, pass SIGHUP on; returns the exit status of `up`.

    `others` are started once `first` listens. `on_stop` is called before the children receive
    SIGTERM. A second signal kills them immediately.
    """
    group = _ProcessGroup(drain_timeout, on_stop)
    with group.handling_signals():
        return await group.run(first, others)


def delay_after(previous: float, uptime: float) -> float:
    """Exponential backoff: seconds until the restart, from the previous delay and the uptime."""
    if previous == 0 or uptime >= STABLE_AFTER_SECONDS:
        return MIN_DELAY_SECONDS
    return min(previous * 2, MAX_DELAY_SECONDS)


class _ProcessGroup:
    """All children: restarted until the stop, then terminated."""

    def __init__(self, drain_timeout: float, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop
        self._kill_after_seconds = drain_timeout + KILL_GRACE_SECONDS
        self._processes: list[ManagedProcess] = []
        self._signals = 0
        self._stopping = asyncio.Event()
        #: Exit status of the child that failed at startup.
        self._refusal: int | None = None

    async def run(self, first: Child, others: Sequence[Child]) -> int:
        """Run the children until the stop, then wait for their exit."""
        async with asyncio.TaskGroup() as group:
            first_process = self._add(first)
            # If the first child exits before it listens, with any status, startup has failed.
            group.create_task(self._run_forever(first_process, is_refusal=lambda status: True))
            await first_process.settled.wait()
            if not self._stopping.is_set():
                for child in others:
                    process = self._add(child)
                    group.create_task(self._run_forever(process, is_refusal=REFUSED.__eq__))
            await self._stopping.wait()
            kill_timer = asyncio.get_running_loop().call_later(self._kill_after_seconds, self._kill)
        kill_timer.cancel()
        if self._refusal is not None:
            return self._refusal
        return 0 if all(process.ended_cleanly for process in self._processes) else 1

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT by a stop of all children, SIGHUP by a reload."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _add(self, child: Child) -> ManagedProcess:
        process = ManagedProcess(child)
        self._processes.append(process)
        return process

    async def _run_forever(
        self, process: ManagedProcess, *, is_refusal: Callable[[int], bool]
    ) -> None:
        loop = asyncio.get_running_loop()
        delay = 0.0
        while not self._stopping.is_set():
            started = loop.time()
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
            delay = delay_after(delay, loop.time() - started)
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

    def _on_hangup(self) -> None:
        log.info("SIGHUP: passed to all children", extra={"action": "reload_passed_on"})
        for process in self._processes:
            process.reload()

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
