"""The runner: however a script ends, its caller hears of it in one form."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from qmonus_lite.observations import Observation, Observers, ScriptRan
from qmonus_lite.scripting import context
from qmonus_lite.scripting.context import ScriptContext
from qmonus_lite.scripting.origin import remember_source
from qmonus_lite.scripting.runner import Runner, ScriptOverran, ScriptRaised
from qmonus_lite.scripting.script_threads import ScriptThreads
from qmonus_lite.values import changed
from tests.unit.scripting.samples import FILE, HOOK, body


async def publish(name: str, event: dict[str, Any]) -> None:
    raise AssertionError(f"{name} was published")


CONTEXT = ScriptContext(config={"db": {"host": "h"}}.__getitem__, publish=publish)


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    script_threads = ScriptThreads("test", max_threads=2)
    yield Runner(script_threads=script_threads)
    assert await script_threads.close(within=5)


async def run(runner: Runner, text: str, timeout: float | None = 5) -> Any:
    script = body(text)
    return await runner.run(
        script,
        lambda: script.function(request=None, resources={}),
        CONTEXT,
        timeout=timeout,
    )


async def test_gives_what_the_script_returns(runner: Runner) -> None:
    assert await run(runner, "await asyncio.sleep(0)\nreturn {'a': 1}") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "timeout", "outcome"),
    [
        ("return 1", 5, "returned"),
        ("raise Error(404, 'no')", 5, "terminated"),
        ("raise HTTPError(405)", 5, "terminated"),
        ("raise ValueError", 5, "failed"),
        ("raise SystemExit", 5, "failed"),
        ("asyncio.current_task().cancel()\nawait asyncio.sleep(1)", 5, "failed"),
        ("await asyncio.sleep(5)", 0.05, "timed_out"),
    ],
)
async def test_listeners_get_how_and_when_a_script_ended(
    runner: Runner, text: str, timeout: float, outcome: str
) -> None:
    seen: list[Observation] = []
    observed = changed(runner, observers=Observers([(ScriptRan, seen.append)]))
    with contextlib.suppress(ScriptRaised):
        await run(observed, text, timeout)

    [ran] = seen
    assert isinstance(ran, ScriptRan)
    assert (ran.plugin, ran.script, ran.outcome) == ("/v1/x", "request_forbidden_process", outcome)
    assert 0 < ran.seconds < 5


async def test_listeners_get_that_the_request_of_a_script_ended_first(runner: Runner) -> None:
    seen: list[Observation] = []
    observed = changed(runner, observers=Observers([(ScriptRan, seen.append)]))
    running = asyncio.create_task(run(observed, "await asyncio.sleep(5)"))
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert [ran.outcome for ran in seen if isinstance(ran, ScriptRan)] == ["cancelled"]


async def test_a_script_runs_in_its_context(runner: Runner) -> None:
    assert await run(runner, "return await get_service_config('db')") == {"host": "h"}
    with pytest.raises(LookupError):
        context.current()


@pytest.mark.parametrize(
    ("text", "code", "reason", "answer"),
    [
        ("raise Error(404, 'no such image')", 404, "no such image", None),
        ("raise Error(409, 'x', {'a': 1})", 409, "x", {"a": 1}),
        ("raise Error(418)", 418, "", None),
        ("raise HTTPError(405)", 405, "", None),
        ("raise HTTPError(403, reason='no')", 403, "no", None),
        ("raise HTTPError(400, 'for the log')", 400, "", None),
    ],
)
async def test_hands_on_what_is_raised_on_purpose(
    runner: Runner, text: str, code: int, reason: str, answer: object
) -> None:
    with pytest.raises(ScriptRaised) as caught:
        await run(runner, text)

    assert (caught.value.code, caught.value.reason, caught.value.body) == (code, reason, answer)


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("raise HTTPError(400, 'size %d', 3)", "HTTP 400: Bad Request (size 3)"),
        ("raise HTTPError(400, '100%')", "HTTP 400: Bad Request (100%)"),
        ("raise HTTPError(400, 'size %d', 'x')", "<exception str() failed>"),
    ],
)
async def test_the_message_of_an_http_error_is_for_the_log(
    runner: Runner, text: str, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with pytest.raises(ScriptRaised):
        await run(runner, text)

    assert vars(caplog.records[0])["action"] == "script_refused"
    assert logged in caplog.records[0].getMessage()


@pytest.mark.parametrize(
    "text",
    [
        "1 / 0",
        "raise ValueError('hush')",
        "import sys\nsys.exit(3)",
        "raise KeyboardInterrupt",
        "raise BaseException",
        "raise GeneratorExit",
        "raise StopIteration",
        "raise StopAsyncIteration",
        "raise BaseExceptionGroup('several', [SystemExit(), ValueError()])",
        "raise MemoryError",
        "def f(): f()\nf()",
        "await 3",
        "async with asyncio.TaskGroup() as g:\n    g.create_task(asyncio.sleep('x'))",
    ],
)
async def test_anything_else_is_a_failure_of_the_script(
    runner: Runner, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ScriptRaised) as caught:
        await run(runner, text)

    assert (caught.value.code, caught.value.reason) == (500, f"{HOOK.label} failed")
    assert [vars(record)["action"] for record in caplog.records] == ["script_failed"]
    assert await run(runner, "return 'still there'") == "still there"


@pytest.mark.parametrize(
    "text",
    [
        "raise asyncio.CancelledError",
        "asyncio.current_task().cancel()\nawait asyncio.sleep(1)",
        "asyncio.current_task().cancel()\nawait asyncio.gather(asyncio.sleep(1))",
        "t = asyncio.create_task(asyncio.sleep(1))\nt.cancel()\nawait t",
    ],
)
async def test_a_script_that_cancels_itself_cancels_nothing_else(runner: Runner, text: str) -> None:
    with pytest.raises(ScriptRaised, match="cancelled itself") as caught:
        await run(runner, text)

    assert caught.value.code == 500


async def test_a_caller_that_is_cancelled_gets_cancelled_error(runner: Runner) -> None:
    running = asyncio.create_task(run(runner, "await asyncio.sleep(30)"))
    await asyncio.sleep(0.05)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


async def test_logs_the_lines_of_the_plugin_and_not_ours(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    remember_source(FILE, "a:\nb:\nc:\nd: |-\n    def f():\n        return 1 / 0\n    f()\n")
    with pytest.raises(ScriptRaised):
        await run(runner, "def f():\n    return 1 / 0\nf()")

    text = caplog.text
    assert f'File "{FILE}", line 6, in f\n    return 1 / 0' in text
    assert "scripting/runner.py" not in text
    assert (vars(caplog.records[0])["file"], vars(caplog.records[0])["line"]) == (FILE, 6)


async def test_a_script_is_cancelled_after_its_timeout(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ScriptOverran, match=r"was not done within 0\.1 s") as caught:
        await run(runner, "await asyncio.sleep(30)", timeout=0.1)

    assert caught.value.code == 504
    assert [vars(record)["action"] for record in caplog.records] == ["script_overran"]


async def test_a_time_out_inside_the_script_is_its_own_failure(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ScriptRaised) as caught:
        await run(runner, "async with asyncio.timeout(0.01):\n    await asyncio.sleep(1)")

    assert not isinstance(caught.value, ScriptOverran)
    assert caplog.records[0].levelno == logging.ERROR


async def test_scripts_that_block_do_not_stop_the_callers_loop(runner: Runner) -> None:
    started = time.monotonic()
    running = asyncio.create_task(run(runner, "time.sleep(0.3)\nreturn 1"))
    ticks = 0
    while not running.done():
        await asyncio.sleep(0.01)
        ticks += 1

    assert await running == 1
    assert ticks > 10
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("own", [None, 30.0])
async def test_no_plugin_may_take_longer_than_the_runner_lets_it(
    runner: Runner, own: float | None
) -> None:
    bounded = Runner(script_threads=runner.script_threads, limit=0.1)

    with pytest.raises(ScriptOverran, match=r"was not done within 0\.1 s"):
        await run(bounded, "await asyncio.sleep(30)", timeout=own)
