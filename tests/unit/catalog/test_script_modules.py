"""Scripts live in ordinary Python: their modules are in `sys.modules` while they can run."""

import asyncio
import gc
import logging
import sys
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite import log
from qmonus_lite.catalog.live import Live
from qmonus_lite.clock import Clock
from qmonus_lite.scripting.context import ScriptContext
from qmonus_lite.scripting.runner import Runner, ScriptRaised
from qmonus_lite.scripting.script_threads import ScriptThreads
from tests.unit.catalog.plugin_folder import Folder
from tests.unit.transports.http.test_worker_registry import until

GATE = """\
name: gate
event: Sample
script: |-
  from __future__ import annotations
  import dataclasses, inspect, pickle, typing
  from concurrent.futures import ProcessPoolExecutor
  import multiprocessing

  @dataclasses.dataclass
  class Point:
      x: int
      near: "Point | None" = None
      kind: typing.ClassVar[str] = "point"

  def doubled(point):
      return Point(2 * point.x, point)

  async def run(event, handle):
      {line}
"""

ROUTE = """\
- authorities: ["127.0.0.1:1"]
  proxy: {path: /v1/x}
  request_forbidden_process: |-
    import dataclasses, pickle

    @dataclasses.dataclass
    class Size:
        width: "int" = 3

    return pickle.dumps(dataclasses.asdict(Size()))
"""


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    script_threads = ScriptThreads("test", max_threads=2)
    yield Runner(script_threads=script_threads)
    assert await script_threads.close(within=5)


async def publish(name: str, event: dict[str, Any]) -> None:
    raise AssertionError(f"{name} was published")


async def run(runner: Runner, live: Live) -> Any:
    script = live.catalog.lambdas["Sample"][0].script
    context = ScriptContext(config=lambda name: {}, publish=publish)
    return await runner.run(script, lambda: script.function({}, None), context)


def modules() -> set[str]:
    """Names of the modules of scripts that can still run."""
    gc.collect()
    return {name for name in sys.modules if ":" in name}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return Point(3).x", 3),
        ("return [field.name for field in dataclasses.fields(Point)]", ["x", "near"]),
        ("return sorted(typing.get_type_hints(Point))", ["kind", "near", "x"]),
        ("return pickle.loads(pickle.dumps(doubled(Point(2)))) == doubled(Point(2))", True),
        ("return pickle._loads(pickle._dumps(doubled)) is doubled", True),
        (
            "return inspect.getsource(doubled)",
            "  def doubled(point):\n      return Point(2 * point.x, point)\n",
        ),
        ("return inspect.getmodule(Point).__name__, __name__", ("gate:script", "gate:script")),
    ],
)
async def test_what_looks_up_the_module_of_a_class_or_function_finds_it(
    folder: Folder, runner: Runner, line: str, expected: object
) -> None:
    folder.put("gate.yml", GATE.format(line=line))

    assert await run(runner, Live(folder.loader)) == expected


async def test_a_script_hands_its_functions_to_other_processes(
    folder: Folder, runner: Runner
) -> None:
    line = """\
with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
          return pool.submit(doubled, Point(4)).result(20).x"""
    folder.put("gate.yml", GATE.format(line=line))

    assert await run(runner, Live(folder.loader)) == 8


async def test_classes_inside_of_a_script_of_a_route_find_their_module(
    folder: Folder, runner: Runner
) -> None:
    folder.put("route.yml", ROUTE)
    live = Live(folder.loader)
    script = live.catalog.routes[0].request_script
    assert script is not None
    context = ScriptContext(config=lambda name: {}, publish=publish)
    given = dict.fromkeys(("request", "route", "resources", "parameters", "session", "finish"))

    value = await runner.run(script, lambda: script.function(**given), context)

    assert b"width" in value


async def test_a_reload_puts_new_modules_in_place_and_leaves_none_behind(folder: Folder) -> None:
    before = modules()
    path = folder.put("gate.yml", GATE.format(line="return 1"))
    live = Live(folder.loader)
    old = weakref.ref(sys.modules["gate:script"])

    for number in (2, 3):
        folder.put("gate.yml", GATE.format(line=f"return {number}"))
        assert await live.reload()

    assert modules() - before == {"gate:script"}
    assert old() is None
    assert sys.modules["gate:script"] is live.catalog.lambdas["Sample"][0].script.module

    path.unlink()
    assert await live.reload()

    assert modules() == before


async def test_a_faulty_change_leaves_the_modules_in_force(folder: Folder) -> None:
    folder.put("gate.yml", GATE.format(line="return 1"))
    live = Live(folder.loader)
    module = sys.modules["gate:script"]
    folder.put("gate.yml", GATE.format(line="return 2"))
    folder.put("other.yml", "name: other\n")

    assert not await live.reload()
    assert sys.modules["gate:script"] is module


async def test_a_removed_script_has_its_module_until_its_last_run_ends(
    folder: Folder, runner: Runner
) -> None:
    before = modules()
    line = "await asyncio.sleep(0.3); return pickle.loads(pickle.dumps(Point(1))).x"
    path = folder.put("gate.yml", GATE.format(line=line))
    live = Live(folder.loader)
    running = asyncio.create_task(run(runner, live))
    await asyncio.sleep(0.05)
    path.unlink()
    assert await live.reload()
    gc.collect()

    assert await running == 1
    del running
    # The thread of the script hands over the result, and frees the script after that.
    await until(lambda: modules() == before)


@pytest.mark.usefixtures("restored")
async def test_log_lines_of_scripts_name_plugin_file_and_line(
    folder: Folder, runner: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure(style="console", level="info", clock=Clock("UTC"))
    line = "logger.info('by ours'); __import__('logging').getLogger('its.own').warning('by its')"
    path = folder.put("gate.yml", GATE.format(line=line))

    await run(runner, Live(folder.loader))

    rows = capsys.readouterr().err.splitlines()
    found = [row for row in rows if "by ours" in row or "by its" in row]
    assert len(found) == 2
    assert all(f"plugin=gate file={path} line=19" in row for row in found)


@pytest.mark.usefixtures("restored")
async def test_a_log_format_of_a_script_gets_all_that_python_offers(
    folder: Folder, runner: Runner, tmp_path: Path
) -> None:
    log.configure(style="json", level="info", clock=Clock("UTC"))
    lines = f"""\
import logging
      handler = logging.FileHandler({str(tmp_path / "audit.log")!r})
      form = "%(process)d %(threadName)s %(filename)s:%(lineno)d %(message)s"
      handler.setFormatter(logging.Formatter(form))
      logger.addHandler(handler)
      logger.info("stored")
      logger.removeHandler(handler)
      handler.close()"""
    folder.put("gate.yml", GATE.format(line=lines))

    await run(runner, Live(folder.loader))

    number, thread, place, text = (tmp_path / "audit.log").read_text().split()
    assert int(number) > 1
    assert thread.startswith("test-")
    assert (place, text) == ("gate.yml:24", "stored")


@pytest.mark.usefixtures("restored")
def test_our_own_records_have_what_a_format_of_a_script_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure(style="console", level="info", clock=Clock("UTC"))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(process)d %(filename)s:%(lineno)d %(threadName)s"))
    logging.getLogger().addHandler(handler)

    logging.getLogger("qmonus_lite.log").warning("sample")

    assert "Logging error" not in capsys.readouterr().err


@pytest.mark.parametrize("separator", ["\u2028", "\x85"])
async def test_lines_of_tracebacks_and_faults_stay_right_behind_a_line_separator_of_unicode(
    folder: Folder,
    runner: Runner,
    separator: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = f"  # a{separator}b\n  async def run(event, handle):\n      return [0][1]\n"
    path = folder.put("a.yml", f"name: a\nevent: Sample\nscript: |-\n{script}")

    with pytest.raises(ScriptRaised) as raised:
        await run(runner, Live(folder.loader))
    folder.put("a.yml", path.read_text().replace("[0][1]", "nowhere"))

    assert raised.value.line == 6
    assert f'"{path}", line 6, in run\n    return [0][1]' in caplog.text
    assert folder.faults()[0].startswith("a.yml:6:14: ")
