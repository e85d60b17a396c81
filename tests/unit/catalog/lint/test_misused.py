"""Rules about built-ins that are used with what they do not have."""

import textwrap

import pytest

from tests.unit.catalog.lint import test_scripts, test_sets
from tests.unit.catalog.lint.test_scripts import KEPT
from tests.unit.catalog.plugin_folder import Folder, handler

UPLOADING = "APIGW.OnFileUploading"
REQUEST, RESPONSE = "request_forbidden_process", "response_forbidden_process"


def in_route(folder: Folder, script: str, key: str = REQUEST) -> list[str]:
    text = textwrap.indent(script, "    ")
    path = "  proxy: {path: /r, authorization: {auth_mode: none}}"
    folder.put("r.yml", f"- authorities: [a]\n{path}\n  {key}: |-\n{text}\n")
    return [f"{warning.rule}:{warning.line}:{warning.column}" for warning in folder.load().warnings]


@pytest.mark.parametrize(
    ("line", "column", "hint"),
    [
        ("await callout(path='/', methd='PUT')", 24, "; did you mean 'method'?"),
        ("await callout(path='/', data=b'')", 24, "; it takes authentication, "),
        ("await publish('E', evnt={})", 19, "; did you mean 'event'?"),
        ("await lambda_event(name='E', code=1)", 29, "; it takes event, name"),
        ("raise Error(404, resaon='x')", 17, "; did you mean 'reason'?"),
    ],
)
def test_finds_arguments_that_a_built_in_does_not_take(
    folder: Folder, line: str, column: int, hint: str
) -> None:
    folder.put("e.yml", handler("e", "E"))

    script = f"async def run(event, handle):\n    {line}\n"
    assert test_scripts.found(folder, script, KEPT) == [f"unknown-argument:2:{column + 5}"]
    assert hint in test_sets.message(folder)


def test_finds_arguments_that_finish_does_not_take(folder: Folder) -> None:
    assert in_route(folder, "finish('x', status=404)") == ["unknown-argument:4:17"]
    assert in_route(folder, "finish('x', code=404, headers={})") == []


@pytest.mark.parametrize(
    "line",
    [
        "await callout(path='/', method='PUT', retry_count=2)",
        "await callout(**event['given'])",
        "def genkey(size): return size\n    genkey(size=3)",
        "raise Error(404, 'x', moreInfo={})",
        "HTTPError(404, 'x', reason='y')",
    ],
)
def test_leaves_other_arguments_alone(folder: Folder, line: str) -> None:
    script = f"async def run(event, handle):\n    {line}\n"

    assert test_scripts.found(folder, script, KEPT) == []


@pytest.mark.parametrize(
    ("line", "key", "found"),
    [
        ("return request.mehod", REQUEST, ["route-attribute:4:12"]),
        ("request.url = '/x'", REQUEST, ["route-attribute:4:5"]),
        ("response.status = 4", RESPONSE, ["route-attribute:4:5"]),
        ("response.code = 404", RESPONSE, []),
        ("return request.account['name']", REQUEST, []),
        ("return request.body.decode()", RESPONSE, []),
        (
            "response = await callout(url='x')\nreturn response.error",
            "request_forbidden_process",
            [],
        ),
        ("request = MU(request)\nreturn request.url", REQUEST, []),
    ],
)
def test_finds_attributes_that_objects_of_routes_do_not_have(
    folder: Folder, line: str, key: str, found: list[str]
) -> None:
    assert in_route(folder, line, key) == found


@pytest.mark.parametrize(
    ("raised", "finds"),
    [
        ("HTTPError('405')", True),
        ("Error('not found')", True),
        ("Error(99)", True),
        ("Error(code=True)", True),
        ("HTTPError(405)", False),
        ("HTTPError()", False),
        ("Error(event['code'], 'x')", False),
    ],
)
def test_finds_errors_with_a_code_that_is_none(folder: Folder, raised: str, finds: bool) -> None:
    found = in_route(folder, f"event = {{}}\nraise {raised}")

    assert found == (["error-code:5:11"] if finds else [])


@pytest.mark.parametrize("key", ["filepath", "bytes", "mime", "address", "port"])
def test_finds_keys_that_an_upload_has_only_when_it_is_stored(folder: Folder, key: str) -> None:
    folder.put("a.yml", handler("a", UPLOADING, f"print(event['{key}'])"))

    assert test_sets.found(folder) == ["a.yml:5:13: event-key"]


def test_leaves_keys_of_events_alone_that_are_there(folder: Folder) -> None:
    folder.put("a.yml", handler("a", UPLOADING, "event['mime'] = event['path']"))
    folder.put("b.yml", handler("b", UPLOADING, "print(event['mime'], event['length'])"))
    folder.put("c.yml", handler("c", "APIGW.OnFileUploaded", "print(event['filepath'])"))

    assert test_sets.found(folder) == []


def test_finds_what_waits_while_the_plugins_are_loaded(folder: Folder) -> None:
    script = "import time\n{}\nasync def gate(event, handle):\n    pass\n"

    assert test_scripts.found(folder, script.format("time.sleep(0)")) == ["module-waits:2:1"]
    assert test_scripts.found(folder, script.format("def wait(): time.sleep(0)")) == []


def test_finds_a_backend_that_is_an_address_to_listen_at(folder: Folder) -> None:
    path = "  proxy: {path: /r, authorization: {auth_mode: none}}\n"

    for authority, rules in (
        ("0.0.0.0", ["route-backend"]),
        ("http://0.0.0.0:80", ["route-backend"]),
        ("'[::]:80'", ["route-backend"]),
        ("10.0.0.0", []),
    ):
        folder.put("r.yml", f"- authorities: [{authority}]\n{path}")
        assert [warning.rule for warning in folder.load().warnings] == rules
    assert in_route(folder, "finish('x')") == []
