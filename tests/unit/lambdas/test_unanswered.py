"""The warning for a handler that ended well though our own APIGW had not answered it."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qmonus_lite.scripting.script_threads import ScriptThreads
from tests.unit.lambdas.handlers_setup import HandlersSetup

#: What `callout` notes when it got no answer, from inside of a handler.
UNANSWERED = (
    "from qmonus_lite.scripting import context",
    "context.note_unanswered('PUT', 'http://127.0.0.1:1/v1/x', 599, 'Connection refused')",
)


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[HandlersSetup]:
    script_threads = ScriptThreads("test", max_threads=4)
    yield HandlersSetup(tmp_path, script_threads)
    assert await script_threads.close(within=5)


async def warnings(
    setup: HandlersSetup, caplog: pytest.LogCaptureFixture, *lines: str
) -> list[str]:
    setup.handler("a", "E", *UNANSWERED, *lines)
    with caplog.at_level(logging.WARNING):
        await setup.publish("E")
    return [record.getMessage() for record in caplog.records if "ended well" in record.getMessage()]


@pytest.mark.parametrize("end", ["pass", "return", "await handle.terminate(200)"])
async def test_a_handler_that_ends_well_is_logged_with_its_line(
    setup: HandlersSetup, caplog: pytest.LogCaptureFixture, tmp_path: Path, end: str
) -> None:
    (warning,) = await warnings(setup, caplog, end)

    # The handler's third line, in the sixth of its file.
    assert f"{tmp_path / 'a.yml'}:6)" in warning
    assert "callout PUT http://127.0.0.1:1/v1/x got 599: Connection refused" in warning


@pytest.mark.parametrize("end", ["raise Error(502, 'x')", "await handle.terminate(502)"])
async def test_a_handler_that_took_it_for_a_failure_is_not(
    setup: HandlersSetup, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    assert await warnings(setup, caplog, end) == []


async def test_each_handler_answers_for_its_own_callouts(
    setup: HandlersSetup, caplog: pytest.LogCaptureFixture
) -> None:
    setup.handler("b", "E", "pass")

    (warning,) = await warnings(setup, caplog)
    assert warning.startswith("a.script")
