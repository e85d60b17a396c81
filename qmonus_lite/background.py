"""Background asyncio tasks, restarted with exponential backoff and reported in readiness."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)

#: Backoff in seconds: the delay before the first restart, doubled per failure up to the maximum.
MIN_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.25, 30.0
#: Seconds without a failure after which the failure count is reset.
STABLE_AFTER_SECONDS = 5.0
#: Consecutive failures from which an essential task makes the process unready.
UNREADY_AFTER_FAILURES = 3


def ends_the_task(error: BaseException) -> bool:
    """Whether the current task must end with this exception, as with its own cancellation.

    False for a CancelledError that was raised by an awaited object while this task itself was not
    cancelled, and for a panic in a Rust library, which pyo3 raises as a BaseException.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit))


class Background:
    """A set of asyncio tasks that run independently of requests, until `close`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._restarted: list[_Restarted] = []

    def start(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], *, essential: bool = True
    ) -> None:
        """Run `work()` until `close`; restart it when it fails or returns.

        `name` is used in the log, and in `unhealthy_reason` if the task is `essential`.
        """
        task = _Restarted(name, work, essential)
        self._restarted.append(task)
        self.run(task.run())

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine once as a task; an exception is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    @property
    def unhealthy_reason(self) -> str | None:
        """Text that names the essential tasks that keep failing, or None."""
        failing = [task.name for task in self._restarted if task.is_failing]
        return f"{', '.join(failing)}: keeps failing; see the log" if failing else None

    async def close(self) -> None:
        """Cancel all running tasks and wait for them."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("background work failed", exc_info=error, extra={"action": "task_failed"})


class _Restarted:
    """A task with restarts, and its failure count."""

    def __init__(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], essential: bool
    ) -> None:
        self.name = name
        self._work = work
        self._essential = essential
        #: Consecutive failures; reset after STABLE_AFTER_SECONDS without a failure.
        self._failures = 0

    @property
    def is_failing(self) -> bool:
        """Whether the task is essential and has failed too often in a row."""
        return self._essential and self._failures >= UNREADY_AFTER_FAILURES

    async def run(self) -> None:
        """Run the work in a restart loop, until cancelled."""
        while True:
            stable_timer = asyncio.get_running_loop().call_later(
                STABLE_AFTER_SECONDS, self._on_stable
            )
            try:
                await self._work()
            except BaseException as error:
                if ends_the_task(error):
                    raise
                failure: BaseException | None = error
            else:
                failure = None
            finally:
                stable_timer.cancel()
            await asyncio.sleep(self._count(failure))

    def _count(self, failure: BaseException | None) -> float:
        """Count and log the end of a run; returns the seconds until the restart."""
        # The exponent is bounded: a task that fails for weeks would overflow a float.
        delay = min(MIN_DELAY_SECONDS * 2.0 ** min(self._failures, 16), MAX_DELAY_SECONDS)
        self._failures += 1
        logger.error(
            "%s %s; started again in %g s",
            self.name,
            "ended" if failure is None else "failed",
            delay,
            exc_info=failure,
            extra={"action": "task_restarted", "task": self.name, "failures": self._failures},
        )
        return delay

    def _on_stable(self) -> None:
        if self._failures:
            facts = {"action": "task_recovered", "task": self.name}
            logger.info("%s runs again", self.name, extra=facts)
        self._failures = 0
