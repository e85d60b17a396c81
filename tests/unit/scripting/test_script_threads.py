"""Script threads: scripts beside the loop that moves bytes."""

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from qmonus_lite.scripting.script_threads import (
    CANCEL_GRACE_SECONDS,
    NoScriptThread,
    ScriptThread,
    ScriptThreads,
)

Script = Callable[[], Coroutine[Any, Any, Any]]
here: contextvars.ContextVar[str] = contextvars.ContextVar("here", default="nowhere")


@pytest.fixture
async def script_threads() -> AsyncIterator[ScriptThreads]:
    script_threads = ScriptThreads("test", max_threads=2)
    yield script_threads
    await script_threads.close(within=5)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("test-")}


async def answer() -> str:
    return threading.current_thread().name


def blocking(until: threading.Event) -> Script:
    async def script() -> str:
        until.wait(10)
        return "blocked"

    return script


async def failing() -> None:
    raise ValueError("no")


async def test_runs_a_script_in_a_thread_of_its_own(script_threads: ScriptThreads) -> None:
    assert await script_threads.run(answer) == "test-0"
    assert script_threads.busy == 0


async def test_starts_no_second_thread_while_one_is_idle(script_threads: ScriptThreads) -> None:
    assert [await script_threads.run(answer) for _ in range(3)] == ["test-0"] * 3


async def test_a_blocked_thread_delays_no_other_script(script_threads: ScriptThreads) -> None:
    free = threading.Event()
    blocked = asyncio.create_task(script_threads.run(blocking(free)))
    await asyncio.sleep(0.01)
    started = time.monotonic()

    assert await script_threads.run(answer) == "test-1"
    assert time.monotonic() - started < 1
    assert script_threads.busy == 1
    free.set()
    assert await blocked == "blocked"


async def test_scripts_share_threads_when_there_are_no_more(script_threads: ScriptThreads) -> None:
    async def wait() -> str:
        await asyncio.sleep(0.05)
        return await answer()

    names = await asyncio.gather(*(script_threads.run(wait) for _ in range(6)))

    assert sorted(names) == ["test-0"] * 3 + ["test-1"] * 3


async def test_hands_on_what_a_script_raises(script_threads: ScriptThreads) -> None:
    with pytest.raises(ValueError, match="no"):
        await script_threads.run(failing)
    assert script_threads.busy == 0


async def test_cancels_a_script_after_its_time(script_threads: ScriptThreads) -> None:
    ended: list[str] = []

    async def script() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append("cleaned up")

    with pytest.raises(TimeoutError):
        await script_threads.run(script, timeout=0.05)
    assert ended == ["cleaned up"]
    assert script_threads.busy == 0


async def test_stops_waiting_for_a_script_that_blocks(script_threads: ScriptThreads) -> None:
    free = threading.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await script_threads.run(blocking(free), timeout=0.05)

    assert time.monotonic() - started < 0.05 + CANCEL_GRACE_SECONDS + 1
    assert script_threads.busy == 1
    free.set()


async def test_stops_waiting_for_a_script_that_ignores_its_cancellation(
    script_threads: ScriptThreads,
) -> None:
    async def script() -> None:
        for _ in range(8):
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue

    with pytest.raises(TimeoutError):
        await script_threads.run(script, timeout=0.05)


async def test_a_time_out_of_the_script_itself_is_its_own(script_threads: ScriptThreads) -> None:
    async def script() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(30)
        except TimeoutError:
            return "caught"
        return "not reached"

    assert await script_threads.run(script, timeout=5) == "caught"


@pytest.mark.parametrize("timeout", [None, 30])
async def test_a_caller_that_is_cancelled_cancels_its_script(
    script_threads: ScriptThreads, timeout: float | None
) -> None:
    began, ended = threading.Event(), threading.Event()

    async def script() -> None:
        began.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    running = asyncio.create_task(script_threads.run(script, timeout=timeout))
    assert await asyncio.to_thread(began.wait, 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await asyncio.to_thread(ended.wait, 2)
    # The lane is free a moment after the last line of the script.
    async with asyncio.timeout(2):
        while script_threads.busy:
            await asyncio.sleep(0.01)


async def test_a_caller_that_is_cancelled_at_once_leaves_no_thread_busy(
    script_threads: ScriptThreads,
) -> None:
    async def script() -> None:
        await asyncio.sleep(30)

    for _ in range(20):
        running = asyncio.create_task(script_threads.run(script))
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await asyncio.sleep(0.1)

    assert script_threads.busy == 0


async def test_a_script_sees_the_context_of_its_caller(script_threads: ScriptThreads) -> None:
    async def script() -> str:
        return here.get()

    here.set("in the request")
    assert await script_threads.run(script) == "in the request"


async def test_many_callers_on_many_loops(script_threads: ScriptThreads) -> None:
    def call() -> str:
        async def run() -> str:
            return await script_threads.run(answer)

        return asyncio.run(run())

    names = await asyncio.gather(*(asyncio.to_thread(call) for _ in range(8)))
    assert set(names) <= {"test-0", "test-1"}


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_a_thread_survives_what_a_leftover_task_raises(
    script_threads: ScriptThreads, kind: type[BaseException]
) -> None:
    async def bad() -> None:
        raise kind

    async def script() -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(bad())

    task = await script_threads.run(script)
    await asyncio.sleep(0.05)

    assert [await script_threads.run(answer) for _ in range(2)] == ["test-0"] * 2
    assert isinstance(task.exception(), kind)


async def test_close_waits_for_what_still_runs() -> None:
    script_threads = ScriptThreads("test", max_threads=1)
    running = asyncio.create_task(script_threads.run(lambda: asyncio.sleep(0.1, "ended")))
    await asyncio.sleep(0.02)

    assert await script_threads.close(within=5)
    assert await running == "ended"


async def test_close_says_when_it_left_something() -> None:
    script_threads, free = ScriptThreads("test", max_threads=1), threading.Event()
    running = asyncio.create_task(script_threads.run(blocking(free)))
    await asyncio.sleep(0.02)

    assert not await script_threads.close(within=0.05)
    free.set()
    assert await running == "blocked"


async def test_a_stopped_thread_ends_and_cancels_the_remaining_tasks() -> None:
    script_threads, ended = ScriptThreads("test", max_threads=1), threading.Event()

    async def left() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    tasks: list[asyncio.Task[None]] = []

    async def script() -> None:
        tasks.append(asyncio.get_running_loop().create_task(left()))
        await asyncio.sleep(0)

    await script_threads.run(script)
    await script_threads.close(within=1)

    assert await asyncio.to_thread(ended.wait, 5)
    for _ in range(100):
        if not threads():
            break
        await asyncio.sleep(0.01)
    assert threads() == set()


async def test_a_single_thread_runs_what_is_submitted_to_it() -> None:
    thread = ScriptThread("test-alone")
    results: list[Awaitable[str]] = [asyncio.wrap_future(thread.submit(answer)) for _ in range(3)]

    assert await asyncio.gather(*results) == ["test-alone"] * 3
    thread.stop()


async def compute() -> None:
    while True:
        pass


async def test_a_script_that_computes_on_is_interrupted_and_its_thread_ends() -> None:
    script_threads = ScriptThreads("test", max_threads=1)
    with pytest.raises(TimeoutError):
        await script_threads.run(compute, timeout=0.05)
    assert script_threads.hung == 1

    async with asyncio.timeout(10):
        while script_threads.hung:
            await asyncio.sleep(0.01)
    assert script_threads.busy == 0
    assert await script_threads.run(answer) == "test-1"
    await script_threads.close(within=1)


async def test_hung_threads_leave_all_others_free_until_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qmonus_lite.scripting.script_threads.MAX_HUNG", 3)
    script_threads, free = ScriptThreads("test", max_threads=1), threading.Event()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await script_threads.run(blocking(free), timeout=0.01)
        if script_threads.hung < 3:
            assert (await script_threads.run(answer)).startswith("test-")
    with pytest.raises(NoScriptThread):
        await script_threads.run(answer)

    free.set()
    async with asyncio.timeout(10):
        while script_threads.hung:
            await asyncio.sleep(0.01)
    assert (await script_threads.run(answer)).startswith("test-")
    assert await script_threads.close(within=1)
