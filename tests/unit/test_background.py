"""Background tasks: started again when they end, and told of."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from qmonus_lite import background as background_module
from qmonus_lite.background import UNREADY_AFTER_FAILURES, Background


class Panic(BaseException):
    """What pyo3 raises for a panic in Rust is no Exception either."""


@pytest.fixture
async def background(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Background]:
    monkeypatch.setattr(background_module, "MIN_DELAY_SECONDS", 0.005)
    monkeypatch.setattr(background_module, "STABLE_AFTER_SECONDS", 0.1)
    background = Background()
    yield background
    await background.close()


class Failing:
    """Work that ends in some ways, one after another, and then goes on."""

    def __init__(self, *ends: BaseException | None) -> None:
        self.ends = list(ends)
        self.goes_on = asyncio.Event()

    async def work(self) -> None:
        if not self.ends:
            self.goes_on.set()
            await asyncio.sleep(30)
        if (end := self.ends.pop(0)) is not None:
            raise end


def actions(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(record)["action"] for record in caplog.records]


@pytest.mark.parametrize("end", [ValueError("broken"), asyncio.CancelledError(), Panic(), None])
async def test_a_task_that_ended_is_started_again_and_logged(
    background: Background, end: BaseException | None, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(end)
    background.start("sample", failing.work)
    async with asyncio.timeout(5):
        await failing.goes_on.wait()

    [record] = caplog.records
    assert (vars(record)["action"], vars(record)["task"]) == ("task_restarted", "sample")
    assert bool(record.exc_info) == (end is not None)
    assert background.unhealthy_reason is None


async def test_a_task_that_keeps_failing_makes_unready_until_it_runs_well(
    background: Background, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    failing = Failing(*[ValueError("broken")] * UNREADY_AFTER_FAILURES)
    background.start("sample", failing.work)
    async with asyncio.timeout(5):
        await failing.goes_on.wait()

        assert background.unhealthy_reason == "sample: keeps failing; see the log"
        while background.unhealthy_reason:
            await asyncio.sleep(0.01)
    assert actions(caplog) == ["task_restarted"] * UNREADY_AFTER_FAILURES + ["task_recovered"]


async def test_a_task_that_the_process_can_do_without_leaves_it_ready(
    background: Background,
) -> None:
    failing = Failing(*[ValueError("broken")] * UNREADY_AFTER_FAILURES)
    background.start("sample", failing.work, essential=False)
    async with asyncio.timeout(5):
        await failing.goes_on.wait()

    assert background.unhealthy_reason is None


async def test_waits_longer_after_each_failure(
    background: Background, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(*[ValueError("broken")] * 4)
    background.start("sample", failing.work)
    async with asyncio.timeout(5):
        await failing.goes_on.wait()

    waits = [record.args[-1] for record in caplog.records if isinstance(record.args, tuple)]
    assert waits == [0.005, 0.01, 0.02, 0.04]


async def test_work_for_once_that_failed_is_logged(
    background: Background, caplog: pytest.LogCaptureFixture
) -> None:
    background.run(Failing(ValueError("broken")).work())
    await asyncio.sleep(0.01)

    assert actions(caplog) == ["task_failed"]


async def test_cancels_what_runs_at_the_end(
    background: Background, caplog: pytest.LogCaptureFixture
) -> None:
    ended = []

    async def wait() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(True)

    background.start("sample", wait)
    background.run(wait())
    await asyncio.sleep(0)
    await background.close()

    assert ended == [True, True]
    assert caplog.records == []
