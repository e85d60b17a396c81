"""The table of names that scripts see."""

import importlib
import subprocess
import sys
from typing import Any

import aiobotocore
import aiohttp
import pytest

from qmonus_lite.scripting.builtins.mu import MU
from qmonus_lite.scripting.builtins.names import NAMES, granted
from qmonus_lite.scripting.builtins.raising import Error
from qmonus_lite.scripting.compiler import compile_handler
from qmonus_lite.scripting.misspelt import QMONUS_ONLY, misspelt
from qmonus_lite.scripting.origin import Origin

#: Sections 8 and 11 of the contract.
PROMISED = """
callout MU get_service_config lambda_event logger options json re io time datetime uuid copy base64
urllib ipaddress asyncio jsonschema aiohttp aiofiles HTTPError Error HTTPHeaders GET PUT POST DELETE
PATCH HEAD OPTIONS genkey encrypt decrypt queryjoin multi Cache publish
""".split()


def test_grants_the_names_that_were_promised_and_no_other() -> None:
    assert sorted(NAMES) == sorted(PROMISED)


def test_every_name_says_what_it_is() -> None:
    assert [name for name, entry in NAMES.items() if not entry.gloss.strip()] == []


def test_the_process_supplies_callout_and_options() -> None:
    callout, options = object(), object()
    names = granted(callout=callout, options=options)

    assert (names["callout"], names["options"]) == (callout, options)
    assert [name for name, value in names.items() if value is None] == []


def test_methods_are_their_own_text() -> None:
    names = granted(callout=None, options=None)

    assert [names[name] for name in ("GET", "PUT", "OPTIONS")] == ["GET", "PUT", "OPTIONS"]


def test_modules_are_the_real_ones() -> None:
    names: dict[str, Any] = granted(callout=None, options=None)

    assert names["urllib"].parse.quote("a b") == "a%20b"
    assert names["datetime"] is importlib.import_module("datetime")


def test_aiobotocore_gives_a_session_as_it_used_to() -> None:
    granted(callout=None, options=None)

    assert type(aiobotocore.get_session()).__name__ == "AioSession"


def test_an_error_has_the_signature_of_qmonus() -> None:
    error = Error(409, "taken", {"a": 1}, moreInfo="more")

    assert (error.code, error.reason, error.body, error.moreInfo) == (
        409,
        "taken",
        {"a": 1},
        "more",
    )
    assert str(error) == "409 taken"
    assert str(Error(418)) == "418"


def test_guesses_the_name_that_was_meant() -> None:
    assert misspelt("josn", NAMES) == "name 'josn' is not defined; did you mean 'json'?"
    assert misspelt("zzzzzz", NAMES) == "name 'zzzzzz' is not defined; define or import it"


def test_knows_the_names_that_only_qmonus_has() -> None:
    assert misspelt("slack", NAMES).startswith("'slack' is a name of Qmonus SDK")
    assert set(NAMES) & QMONUS_ONLY == set()


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("jsonschema", "jsonschema.validate(1, {})"),
        ("aiohttp", "aiohttp.ClientSession()"),
        ("aiohttp", "from aiohttp.client_exceptions import ClientError"),
        ("aiohttp", "await callout('/path')"),
        ("aiofiles", "aiofiles.open('f')"),
        ("box", "MU(a=1)"),
        ("urllib.request", "urllib.request.urlopen('u')"),
    ],
)
def test_is_imported_when_a_script_that_reads_its_name_is_loaded(module: str, use: str) -> None:
    program = f"""
import sys
from qmonus_lite.scripting import compiler
from qmonus_lite.scripting.builtins.callout import Callout
from qmonus_lite.scripting.builtins.names import granted
from qmonus_lite.scripting.origin import Origin
names = granted(callout=Callout(None, None, None), options=None)
def imported(text):
    origin = Origin(file="f.yml", label="script", line=1, indent=0)
    compiler.compile_handler(text, origin, names)
    return {module!r} in sys.modules
print(imported("async def f(event, handle): pass"))
print(imported({f"async def f(event, handle): {use}"!r}))
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    assert ran.stdout.split() == ["False", "True"]


def test_a_script_has_the_modules_and_classes_themselves() -> None:
    origin = Origin(file="f.yml", label="script", line=1, indent=0)
    text = "def used():\n  return aiohttp, MU\nasync def f(event, handle): pass"
    script = compile_handler(text, origin, granted(callout=None, options=None))

    assert vars(script.module)["used"]() == (aiohttp, MU)


def test_a_name_that_only_evaluated_text_reads_works_too() -> None:
    origin = Origin(file="f.yml", label="script", line=1, indent=0)
    text = "made = eval('MU(a=1).a, aiohttp.__name__')\nasync def f(event, handle): pass"
    script = compile_handler(text, origin, granted(callout=None, options=None))

    assert vars(script.module)["made"] == (1, "aiohttp")
