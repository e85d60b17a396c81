"""What of a script's headers goes along with a callout: nothing that only fits another message."""

import json
from typing import Any

import pytest

from qmonus_lite.auth.callout_pass import HEADER
from qmonus_lite.scripting.builtins import callout_headers
from qmonus_lite.scripting.builtins.callout import Callout
from tests.unit.scripting.builtins.conftest import Outside

#: As a client of an upload may send them.
HANDED_ON = {
    "Host": "elsewhere.example",
    "Content-Length": "3",
    "Transfer-Encoding": "chunked",
    "Expect": "100-continue",
    "Connection": "close, X-Mine",
    "X-Mine": "of the connection",
    "Keep-Alive": "timeout=1",
    "Te": "trailers",
    "Trailer": "X-Sum",
    "Upgrade": "h2c",
    "Http2-Settings": "x",
    "Proxy-Connection": "keep-alive",
    "Proxy-Authorization": "Basic eA==",
    "X-Auth-Token": "of the client",
    "X-Kept": "yes",
}
GONE = set(HANDED_ON) - {"Host", "Content-Length", "Connection", "X-Auth-Token", "X-Kept"}


@pytest.mark.parametrize("case", [str, str.lower, str.upper])
@pytest.mark.parametrize("body", [{"a": "b" * 40}, "text", b"bytes", None])
async def test_framing_and_fields_of_the_connection_are_left_out(
    callout: Callout, outside: Outside, case: Any, body: object
) -> None:
    headers = {case(name): value for name, value in HANDED_ON.items()}

    answer = await callout(url=outside.url, method="POST", headers=headers, body=body)

    assert answer.code == 200
    received = {name.title(): value for name, value in outside.last.headers.items()}
    assert not GONE & set(received)
    assert received["Host"] == outside.place
    assert (received["X-Auth-Token"], received["X-Kept"]) == ("of the client", "yes")
    assert received["Content-Length"] == str(len(outside.last.body))
    if isinstance(body, dict):
        assert json.loads(outside.last.body) == body


async def test_a_body_of_300_kb_is_sent_completely_beside_a_small_length(
    callout: Callout, outside: Outside
) -> None:
    body = b"x" * 300_000
    headers = {"Content-Length": "3", "Expect": "100-continue"}

    assert (await callout(url=outside.url, method="PUT", headers=headers, body=body)).code == 200
    assert outside.last.body == body


async def test_what_describes_the_bytes_of_a_client_does_not_go_along_with_json(
    callout: Callout, outside: Outside
) -> None:
    headers = {
        "Content-Type": "video/mp4",
        "content-encoding": "gzip",
        "Content-MD5": "x",
        "Digest": "x",
        "Content-Digest": "x",
        "Repr-Digest": "x",
        "Content-Range": "bytes 0-1/3",
    }

    await callout(url=outside.url, method="POST", headers=headers, body={"a": 1})
    sent = {name.lower() for name in outside.last.headers}
    assert not sent & {name.lower() for name in headers} - {"content-type"}
    assert outside.last.headers["Content-Type"] == "application/json"

    # Bytes are the script's own, and so is what it says of them.
    await callout(url=outside.url, method="POST", headers={"Content-MD5": "x"}, body=b"a")
    assert outside.last.headers["Content-MD5"] == "x"


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/geo+json"])
async def test_a_kind_of_json_that_the_script_chose_stays(
    callout: Callout, outside: Outside, kind: str
) -> None:
    await callout(url=outside.url, method="POST", headers={"content-type": kind}, body=[1])

    assert outside.last.headers["Content-Type"] == kind


async def test_a_client_cannot_have_its_credential_dropped_to_be_let_in_by_our_pass(
    callout: Callout, gateway: Outside
) -> None:
    headers = {"Connection": "X-Auth-Token, Authorization", "X-Auth-Token": "bad"}

    await callout("/v1/x", "PUT", headers=headers)

    assert HEADER not in gateway.last.headers
    assert gateway.last.headers["X-Auth-Token"] == "bad"


async def test_the_credential_of_the_call_takes_the_place_of_one_among_the_headers(
    callout: Callout, outside: Outside
) -> None:
    await callout(url=outside.url, headers={"x-auth-token": "old"}, authentication="new")

    tokens = [v for name, v in outside.last.headers.items() if name.lower() == "x-auth-token"]
    assert tokens == ["new"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"X-A": b"abc", b"X-B": "\u00e9"}, {"X-A": "abc", "X-B": "\u00e9"}),
        ({"X-A": b"\xc3\xa9", "X-B": b"\xe9"}, {"X-A": "\u00e9", "X-B": "\u00e9"}),
        ({"X-A": ["a", b"b"], "X-B": (1, 2)}, {"X-A": "a, b", "X-B": "1, 2"}),
        ({b"Content-Length": b"9", "Content-Length ": "9", "X-A": 1}, {"X-A": "1"}),
        ({"Connection": ["close", b"X-Mine"], "X-Mine": "x"}, {}),
        ({"connection": b"x-mine", "X-Mine": "x"}, {}),
    ],
)
def test_bytes_and_lists_are_read_as_what_they_say(
    given: dict[Any, Any], sent: dict[str, str]
) -> None:
    assert callout_headers.fields(given, None, None, None) == sent
