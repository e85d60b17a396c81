"""Background tasks of a process: one that fails is started again, and readiness tells of it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)

#: Seconds until the first restart of a task; each further one waits twice as long, up to the last.
MIN_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.25, 30.0
#: Seconds without a failure after which a task counts as running well.
STABLE_AFTER_SECONDS = 5.0
#: Failures in a row from which a task makes the process unready.
UNREADY_AFTER_FAILURES = 3


def ends_the_task(error: BaseException) -> bool:
    """Whether an exception has to end the task that runs now, as its cancellation does.

    Not so a CancelledError that came from what the task awaited, which nobody cancelled here, nor a
    panic in a library that is written in Rust, which pyo3 raises as a BaseException.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit))


class Background:
    """Tasks that run beside the requests, until `close`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._restarted: list[_Restarted] = []

    def start(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], *, essential: bool = True
    ) -> None:
        """Run `work()` for as long as the process lives; when it fails or ends, run it again.

        `name` stands in the log, and in `trouble` if the process cannot do without this task.
        """
        task = _Restarted(name, work, essential)
        self._restarted.append(task)
        self.run(task.run())

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it once; a failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    @property
    def unhealthy_reason(self) -> str | None:
        """Which task keeps failing, or None."""
        failing = [task.name for task in self._restarted if task.is_trouble]
        return f"{', '.join(failing)}: keeps failing; see the log" if failing else None

    async def close(self) -> None:
        """Cancel what still runs."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("background work failed", exc_info=error, extra={"action": "task_failed"})


class _Restarted:
    """One task over all its runs."""

    def __init__(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], essential: bool
    ) -> None:
        self.name = name
        self._work = work
        self._essential = essential
        #: Since it last ran well.
        self._failures = 0

    @property
    def is_trouble(self) -> bool:
        """Whether the process cannot do its work because of it."""
        return self._essential and self._failures >= UNREADY_AFTER_FAILURES

    async def run(self) -> None:
        """Run the work again and again, until cancelled."""
        while True:
            well = asyncio.get_running_loop().call_later(STABLE_AFTER_SECONDS, self._is_well)
            try:
                await self._work()
            except BaseException as error:
                if ends_the_task(error):
                    raise
                failure: BaseException | None = error
            else:
                failure = None
            finally:
                well.cancel()
            await asyncio.sleep(self._count(failure))

    def _count(self, failure: BaseException | None) -> float:
        """Write down that a run ended; the seconds until the next."""
        # Bounded, so that a task that fails for weeks makes no number beyond all floats.
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

    def _is_well(self) -> None:
        if self._failures:
            facts = {"action": "task_recovered", "task": self.name}
            logger.info("%s runs again", self.name, extra=facts)
        self._failures = 0
