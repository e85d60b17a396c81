"""API keys as credentials of any request: uploads, routes and endpoints of operators."""

import asyncio
import base64
import json
import logging
import urllib.request

import pytest

from qmonus_lite.auth import apikey
from tests.integration.two_processes import TwoProcesses

ROLE = """\
- name: everything
  authorities:
  - {regex: /upload/ann/, methods: [PUT]}
  - {regex: /v1/, methods: [POST]}
  - {regex: /-/plugins, methods: [GET]}
"""
OTHER_ORIGIN = {"Origin": "https://elsewhere.example"}


class Ann:
    """An account, its key, and the ways to give it."""

    def __init__(self, two: TwoProcesses) -> None:
        self.key = apikey.new_key()
        two.put("role.yml", ROLE)
        hashed = apikey.digest(self.key)
        two.put("ann.yml", f"- {{username: ann, role: everything, api_key_hash: '{hashed}'}}\n")

    @property
    def header(self) -> dict[str, str]:
        return {"X-API-Key": self.key}

    @property
    def basic(self) -> dict[str, str]:
        return basic(f"ann:{self.key}")


def basic(pair: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


async def challenge(two: TwoProcesses, method: str, path: str, headers: dict[str, str]) -> str:
    """`WWW-Authenticate` of a 401."""
    async with two.http.request(method, two.url + path, data=b"x", headers=headers) as answer:
        assert answer.status == 401, path
        return answer.headers["WWW-Authenticate"]


async def test_a_key_is_taken_on_uploads_routes_and_endpoints(
    two: TwoProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    ann = Ann(two)
    two.route("/v1/who", "return request.account['name']")
    caplog.set_level(logging.DEBUG)
    await two.start()
    for way in (ann.header, ann.basic):
        assert await two.status("PUT", "/upload/ann/f", data=b"x", headers=way) in {200, 201}
        assert await two.status("PUT", "/upload/bob/f", data=b"x", headers=way) == 403
        assert await two.send("POST", "/v1/who", headers=way) == (200, "ann")
        assert await two.status("GET", "/-/plugins", headers=way) == 200
        status, given = await two.send("POST", "/-/logon", headers=way)
        assert (status, given["username"]) == (200, "ann")

    # No page of another origin may use a password that a browser remembers.
    page = ann.basic | OTHER_ORIGIN
    for method, path in (("GET", "/-/plugins"), ("POST", "/v1/who"), ("POST", "/-/logon")):
        assert await two.status(method, path, headers=page) == 401, path
    assert await two.status("GET", "/-/plugins", headers=ann.header | OTHER_ORIGIN) == 200

    pair = ann.basic["Authorization"].split()[1]
    written = [json.dumps(vars(record), default=str) for record in caplog.records]
    assert not any(ann.key in line or pair in line for line in written)


async def test_basic_is_offered_for_uploads_and_never_to_a_page(two: TwoProcesses) -> None:
    ann = Ann(two)
    two.route("/v1/who", "return 'x'")
    await two.start()
    both = 'Bearer realm="qmonus-lite", Basic realm="qmonus-lite", charset="UTF-8"'
    upload = "/upload/ann/f"

    for headers in ({}, basic("ann:theirs"), {"X-Auth-Token": "x"}):
        assert await challenge(two, "PUT", upload, headers) == both
    for headers in (OTHER_ORIGIN, {"Sec-Fetch-Mode": "cors"}, {"Origin": two.url}):
        assert await challenge(two, "PUT", upload, headers) == 'Bearer realm="qmonus-lite"'
    for method, path in (("GET", "/-/plugins"), ("POST", "/v1/who"), ("POST", "/-/logon")):
        assert await challenge(two, method, path, {}) == 'Bearer realm="qmonus-lite"'

    # Python's own client sends a password only when it is asked for one.
    manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, two.url, "ann", ann.key)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    request = urllib.request.Request(two.url + upload, data=b"x", method="PUT")
    assert (await asyncio.to_thread(opener.open, request)).status == 201


async def test_wrong_keys_are_throttled_wherever_they_are_given(two: TwoProcesses) -> None:
    ann = Ann(two)
    two.flags["trusted_proxies"] = ("127.0.0.1",)
    two.route("/v1/who", "return 'x'")
    await two.start()
    paths = (("PUT", "/upload/ann/f"), ("POST", "/v1/who"), ("GET", "/-/plugins"))

    def by(address: str, headers: dict[str, str]) -> dict[str, str]:
        return headers | {"X-Forwarded-For": address}

    for number, (method, path) in enumerate(paths):
        address = f"192.0.2.{number}"
        for _ in range(8):
            theirs = by(address, basic("ann:theirs") | {"X-API-Key": "theirs"})
            assert await two.status(method, path, data=b"x", headers=theirs) == 401
        wrong = by(address, basic(f"ann:{apikey.new_key()}"))
        codes = [await two.status(method, path, data=b"x", headers=wrong) for _ in range(6)]

        assert codes == [401] * 5 + [429], path
        right = by(address, ann.basic)
        assert await two.status(method, path, data=b"x", headers=right) in {200, 201}


async def test_handlers_see_whose_key_it_is(two: TwoProcesses) -> None:
    ann = Ann(two)
    seen = two.noting("seen", "APIGW.OnFileUploading")
    await two.start()
    for headers in (ann.header, ann.basic, basic(f"bob:{ann.key}")):
        assert await two.status("PUT", "/upload/ann/f", data=b"x", headers=headers) in {200, 201}

    accounts = [json.loads(line)["account"] for line in seen.read_text().splitlines()]
    assert accounts == [{"name": "ann", "roles": ["everything"]}] * 2 + [None]
