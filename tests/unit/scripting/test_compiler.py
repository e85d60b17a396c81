"""The compiler: places true to the YAML file, and everything found that cannot be run."""

import sys
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qmonus_lite.scripting.compiler import BadScript, Script
from qmonus_lite.scripting.origin import remember_source
from tests.unit.scripting.samples import FILE, body, faults, handler

HANDLER = "async def run(event, handle):\n    "


async def run(script: Script, event: Any = None) -> Any:
    return await script.function(event, None)


async def serve(script: Script, request: Any = None) -> Any:
    return await script.function(request=request, resources={})


async def test_runs_a_handler_of_any_name() -> None:
    assert await run(handler("async def anything(event, handle): return event"), 7) == 7


async def test_runs_helpers_constants_and_imports_beside_a_handler() -> None:
    script = handler("""
import math as m
FACTOR = 2
def twice(x: int) -> int: return FACTOR * x
async def half(x): return m.floor(x / 2)
class Thing:
    size = 3
async def run(event, handle):
    return twice(await half(event)) + Thing.size
""")

    assert await run(script, 5) == 7


async def test_runs_a_body_with_what_it_is_given() -> None:
    script = body("import os.path\nif await request() == resources:\n    return os.path.sep")

    async def request() -> object:
        return {}

    assert await serve(script, request) == "/"


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n\n", "pass"])
async def test_an_empty_body_returns_nothing(text: str) -> None:
    assert await serve(body(text)) is None


async def test_a_body_keeps_nothing_from_call_to_call() -> None:
    script = body("seen = locals().get('seen', 0) + 1\nreturn seen")

    assert [await serve(script), await serve(script)] == [1, 1]


async def test_module_level_code_runs_once() -> None:
    script = handler(
        "count = []\nasync def run(event, handle):\n    count.append(1)\n    return len(count)"
    )

    assert [await run(script), await run(script)] == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "x: int = 1\n" + HANDLER + "return x",
        "'''What it does.'''\n" + HANDLER + "return __name__, __file__, __doc__",
        HANDLER + "return [y for y in range(3) if (z := y)]",
        HANDLER + "return super, __debug__, print",
        "class A:\n    def f(self): return __class__\n" + HANDLER + "return A",
        "global g\ng = 1\n" + HANDLER + "return g",
        "from os.path import *\n" + HANDLER + "return basename('/x')",
        "def outer():\n    def inner(): return json.dumps(1)\n    return inner\n"
        + HANDLER
        + "pass",
        HANDLER + "global made\n    made = 1\n    return made",
        HANDLER + "match event:\n        case {'path': str(p)}: return p",
        "try:\n    import nowhere_to_be_found as n\nexcept ImportError:\n    n = None\n"
        + HANDLER
        + "n",
        "def g(event):\n    yield from event\n" + HANDLER + "return list(g([1]))",
    ],
)
def test_takes_names_that_are_there(text: str) -> None:
    assert faults(text) == []


async def raised(running: Coroutine[Any, Any, Any]) -> str:
    try:
        await running
    except Exception as error:
        return "".join(traceback.format_exception(error))
    raise AssertionError("it did not raise")


async def test_a_traceback_shows_the_file_and_the_line_in_the_yaml() -> None:
    source = "name: a\nevent: b\nx: y\nscript: |-\n" + "".join(
        f"    {line}\n" for line in (HANDLER + "return helper(event)").splitlines()
    )
    source += "\n    def helper(event):\n        return 1 + event['size'] / 0\n"
    remember_source(FILE, source)
    script = handler(
        HANDLER + "return helper(event)\n\ndef helper(event):\n    return 1 + event['size'] / 0"
    )

    text = await raised(run(script, {"size": 1}))
    assert f'File "{FILE}", line 6, in run\n' in text
    assert f'File "{FILE}", line 9, in helper\n    return 1 + event' in text
    assert "               ~~~~~~~~~~~~~~^~~" in text


async def test_a_traceback_of_a_body_names_its_key() -> None:
    text = await raised(serve(body("x = 1\nraise ValueError(x)")))

    assert f'File "{FILE}", line 6, in request_forbidden_process' in text


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (HANDLER + "return (", "6:16"),
        (HANDLER + "x = = 1", "6:13"),
        ("def f(:\n  pass", "5:11"),
        ("async def run(event, handle):\nreturn 1", "6:5"),
        (HANDLER + "x = 1\n\ty = 2", "7:"),
        (HANDLER + "'日本' = 1", "6:9"),
        (HANDLER + "nonlocal x", "6:9"),
        (HANDLER + "break", "6:9"),
        ("return 1\n" + HANDLER + "pass", "5:5"),
    ],
)
def test_a_syntax_error_has_its_place_in_the_yaml(text: str, place: str) -> None:
    [fault] = faults(text)

    assert fault.startswith(place), fault
    assert "sample.script: syntax error: " in fault


def test_a_syntax_error_of_a_body_has_its_place_too() -> None:
    [fault] = faults("x = 1\nif x\n    pass", as_body=True)

    assert fault == "6:9: /v1/x.request_forbidden_process: syntax error: expected ':'"


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("return josn.loads('1')", "6:16"),
        ("x = [josn for y in event]", "6:14"),
        ("f = lambda: josn", "6:21"),
        ("return '日本', josn", "6:22"),
        ("return f'{josn}'", "6:19"),
    ],
)
def test_a_misspelt_name_has_its_place_and_the_nearest_name(line: str, place: str) -> None:
    assert faults(HANDLER + line) == [
        f"{place}: sample.script: name 'josn' is not defined; did you mean 'json'?"
    ]


def test_all_misspelt_names_are_reported_once_each() -> None:
    found = faults("josn.x\nreqest\njosn.y\nasyncoi", as_body=True)

    assert [fault.partition(" ")[0] for fault in found] == ["5:5:", "6:5:", "8:5:"]


def test_a_misspelt_parameter_of_a_body_has_its_nearest_name() -> None:
    assert faults("return reqest.path", as_body=True) == [
        "5:12: /v1/x.request_forbidden_process: name 'reqest' is not defined;"
        " did you mean 'request'?"
    ]


def test_a_name_of_another_qmonus_service_is_called_so() -> None:
    [fault] = faults(HANDLER + "await slack('x')")

    assert "'slack' is a name of Qmonus SDK that qmonus_lite does not provide" in fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import os, nowhere_x", "5:5: /v1/x.request_forbidden_process: cannot import 'nowhere_x'"),
        ("x = 1\nfrom nowhere_y.z import a", "6:5: "),
        ("import os.nowhere_z", "5:5: "),
    ],
)
def test_a_missing_import_of_a_body_shows_at_load(text: str, fault: str) -> None:
    [found] = faults(text, as_body=True)

    assert found.startswith(fault)
    assert "cannot import 'nowhere" in found or "os.nowhere_z" in found
    assert f"; install it for the Python that runs qmonus-lite: {sys.executable}" in found


def test_a_missing_import_of_a_handler_shows_at_load() -> None:
    [fault] = faults("x = 1\nimport nowhere_x\n" + HANDLER + "pass")

    assert fault.startswith("6:5: sample.script: raised ModuleNotFoundError while loading")
    assert fault.endswith(f"the Python that runs qmonus-lite: {sys.executable} -m pip install")


@pytest.mark.parametrize(
    "what", ["raise ValueError(9)", "sys.exit(3)", "raise asyncio.CancelledError"]
)
def test_a_module_that_cannot_be_imported_is_a_fault(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_on_import.py").write_text(f"import asyncio, sys\n{what}\n")
    monkeypatch.syspath_prepend(tmp_path)

    [fault] = faults("import broken_on_import", as_body=True)
    assert fault.startswith(
        "5:5: /v1/x.request_forbidden_process: cannot import 'broken_on_import'"
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x = 1 / 0", "ZeroDivisionError"),
        ("def f(): raise KeyError('k')\nf()", "KeyError"),
        ("import sys\nsys.exit(1)", "SystemExit"),
        ("raise asyncio.CancelledError", "CancelledError"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("def f(): f()\nf()", "RecursionError"),
        ("x = len(5)", "TypeError"),
    ],
)
def test_a_module_level_that_raises_is_a_fault(text: str, kind: str) -> None:
    [fault] = faults(text + "\n" + HANDLER + "pass")

    assert f"sample.script: raised {kind} while loading" in fault
    assert fault.startswith(("5:", "6:"))


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("", "5:5", "found 0"),
        ("x = 1", "5:5", "found 0"),
        ("x = 1\ndef run(event, handle): pass", "6:5", "'def run' lacks an 'async' before it"),
        ("def run(event): pass", "5:5", "found 0"),
        ("async def run(event): pass", "5:5", "its parameters differ"),
        ("async def run(handle, event): pass", "5:5", "its parameters differ"),
        ("async def run(event, handle, more): pass", "5:5", "its parameters differ"),
        ("async def run(event, handle, *, more): pass", "5:5", "its parameters differ"),
        (HANDLER + "pass\n\n" + HANDLER.replace("run", "too") + "pass", "8:5", "found 2"),
        ("if True:\n    async def run(event, handle): pass", "5:5", "found 0"),
    ],
)
def test_wants_exactly_one_handler(text: str, place: str, found: str) -> None:
    [fault] = faults(text)

    assert fault.startswith(f"{place}: sample.script: expected exactly one 'async def")
    assert fault.endswith(found)


def test_a_second_async_function_of_other_parameters_is_a_helper() -> None:
    assert faults("async def fetch(url): pass\n" + HANDLER + "await fetch('x')") == []


@pytest.mark.parametrize("text", ["yield 1", "x = [1]\nfor y in x:\n    yield y"])
def test_a_body_that_yields_is_no_script(text: str) -> None:
    [fault] = faults(text, as_body=True)

    assert "'yield'" in fault


def test_a_handler_that_yields_is_no_script() -> None:
    [fault] = faults(HANDLER + "yield 1")

    assert "'yield'" in fault


@pytest.mark.parametrize("text", ["-" * 200_000 + "1", "x" + ".y" * 100_000, "(" * 1000, "\0"])
def test_a_script_that_is_too_much_for_python_is_a_fault(text: str) -> None:
    [fault] = faults(text, as_body=True)

    assert fault.startswith("5:")


@given(st.text(st.characters(codec="utf-8"), max_size=40))
@example("\rA")
def test_compiles_any_text_or_says_why_not(text: str) -> None:
    try:
        body("if False:\n    pass\n" + text)
    except BadScript as error:
        assert all(fault.line >= 5 and fault.column >= 1 for fault in error.faults)
