"""From a routing file to routes."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.catalog.plugin_folder import Folder

FULL = """\
- authorities: [10.0.0.1, "10.0.0.2:8080"]
  proxy:
    authorization: {auth_mode: none}
    path: /v1/images/{id}/file
    scheme: 'http:'
  target:
    path: /internal/{id}
    scheme: 'https:'
  request_forbidden_process: |-
    if request.method == GET:
        return {"id": resources["id"]}
  response_forbidden_process: |-
    response.code = 201
  spec:
  - command: callout
    method: get
    usage: shows it
    schema:
      request:
        params: {type: object, required: [page]}
      response: {normal: {codes: [200, 304]}}
  - method: PUT
"""


async def test_builds_a_route(folder: Folder) -> None:
    folder.put("a.yml", FULL)
    [route] = folder.load().routes

    assert route.template.match("/v1/images/7/file") == {"id": "7"}
    assert (route.target.text, route.target_scheme) == ("/internal/{id}", "https")
    assert route.authorities == ("10.0.0.1", "10.0.0.2:8080")
    assert not route.needs_account
    assert list(route.methods) == ["GET", "PUT"]
    assert route.methods["GET"].normal_codes == (200, 304)
    assert route.methods["PUT"].normal_codes == (200,)
    assert [fault.pointer for fault in route.methods["GET"].schemas["params"].mismatches({})] == [
        ""
    ]


async def test_its_scripts_see_what_they_were_promised(folder: Folder) -> None:
    folder.put("a.yml", FULL)
    [route] = folder.load().routes
    given: dict[str, Any] = dict.fromkeys(
        ["request", "route", "resources", "parameters", "session", "finish"]
    )
    given |= {"request": SimpleNamespace(method="GET"), "resources": {"id": "7"}}
    assert route.request_script and route.response_script

    assert await route.request_script.function(**given) == {"id": "7"}
    response = SimpleNamespace(code=200)
    await route.response_script.function(**given, response=response)
    assert response.code == 201


def test_a_plain_route_proxies_to_the_same_path_with_an_account(folder: Folder) -> None:
    folder.put("a.yml", "- {authorities: [h], proxy: {path: /v1/x}}\n")
    [route] = folder.load().routes

    assert route.needs_account
    assert (route.target.text, route.target_scheme, dict(route.methods)) == ("/v1/x", "http", {})
    assert (route.request_script, route.response_script) == (None, None)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("- proxy: {path: v1}\n  authorities: [h]\n", ["1:11: 'v1' has to start with a slash"]),
        (
            "- proxy: {path: /v1}\n  target: {path: v1}\n  authorities: [h]\n",
            ["2:12: 'v1' has to start with a slash"],
        ),
        (
            "- proxy: {path: '/v1/{a}'}\n  target: {path: '/v1/{b}/{c}'}\n  authorities: [h]\n",
            ["2:12: names b, c, which proxy.path does not have"],
        ),
        ("- proxy: {path: /upload/x}\n  authorities: [h]\n", ["1:11: '/upload/x' is taken"]),
        ("- proxy: {path: /x}\n", ['1:3: Routing plugin: "authorities" is a required']),
        (
            "- proxy: {path: /x, scheme: ftp, authorization: {auth_mode: maybe}}\n"
            "  authorities: []\n",
            [
                '1:21: Routing plugin, proxy.scheme: "ftp" is not one of',
                '1:50: Routing plugin, proxy.authorization.auth_mode: "maybe" is not one of',
            ],
        ),
        (
            "- proxy: {path: /x}\n  authorities: []\n  spec:\n  - method: GET\n  - method: get\n"
            "  - method: GTE\n",
            ["5:5: GET is described twice", "6:5: 'GTE' is not an HTTP method of ours"],
        ),
        (
            "- proxy: {path: /x}\n  authorities: []\n  spec:\n  - method: GET\n    schema:\n"
            "      request:\n        body: {type: strong}\n"
            "        params: {properties: {a: {pattern: '('}}}\n",
            ["7:16: not a usable JSON Schema", "8:35: not a usable JSON Schema"],
        ),
        (
            "- proxy: {path: /x}\n  authorities: []\n  request_forbidden_process: return 1\n",
            ["3:3: request_forbidden_process has to be a literal block"],
        ),
        (
            "- proxy: {path: /x}\n  authorities: []\n  request_forbidden_process: |-\n"
            "    return response\n",
            ["4:12: /x.request_forbidden_process: name 'response' is not defined"],
        ),
        (
            "- proxy: {path: /x}\n  authorities: []\n- 5\n",
            ["3:3: Routing plugin: 5 is not of type"],
        ),
    ],
)
def test_says_what_is_wrong_with_a_route(folder: Folder, text: str, faults: list[str]) -> None:
    folder.put("a.yml", text)
    found = [fault.removeprefix("a.yml:") for fault in folder.faults()]

    assert len(found) == len(faults), found
    for fault, wanted in zip(found, faults, strict=True):
        assert fault.startswith(wanted), found
