"""`callout`, against real servers."""

import asyncio
import inspect
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse

from qmonus_lite.auth.callout_pass import HEADER, Passes
from qmonus_lite.scripting.builtins import outgoing
from qmonus_lite.scripting.builtins.callout import Callout
from qmonus_lite.scripting.builtins.outgoing import Outgoing, OutgoingRequest
from qmonus_lite.scripting.builtins.raising import Error
from tests.unit.scripting.builtins.conftest import Making, Outside


async def test_gives_code_headers_and_body(callout: Callout, outside: Outside) -> None:
    outside.headers = {"X-Kind": "sample"}
    answer = await callout(url=f"{outside.url}/a?b=c")

    assert isinstance(answer, HTTPResponse)
    assert (answer.code, answer.reason, answer.body) == (200, "OK", b"hello")
    assert answer.headers["x-kind"] == "sample"
    assert answer.error is None
    assert (outside.last.method, outside.last.target) == ("GET", "/a?b=c")


@pytest.mark.parametrize("method", ["GET", "put", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_sends_any_method(callout: Callout, outside: Outside, method: str) -> None:
    answer = await callout(url=outside.url, method=method)

    assert outside.last.method == method.upper()
    assert answer.code == 200


@pytest.mark.parametrize(
    ("body", "sent", "kind"),
    [
        ({"名": [1, None]}, '{"名": [1, null]}'.encode(), "application/json"),
        ([1], b"[1]", "application/json"),
        ("日本", "日本".encode(), "application/octet-stream"),
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
        (None, b"", None),
    ],
)
async def test_sends_a_body_by_its_type(
    callout: Callout, outside: Outside, body: object, sent: bytes, kind: str | None
) -> None:
    await callout(url=outside.url, method="PUT", body=body)

    assert outside.last.body == sent
    assert outside.last.headers.get("Content-Type") == kind


async def test_sends_the_headers_it_was_given(callout: Callout, outside: Outside) -> None:
    given: Any = {"content-type": "application/merge-patch+json", "X-Count": 3}
    await callout(url=outside.url, method="POST", body={"a": 1}, headers=given)

    headers = {name.lower(): value for name, value in outside.last.headers.items()}
    assert headers["content-type"] == "application/merge-patch+json"
    assert headers["x-count"] == "3"


async def test_uses_a_connection_again(callout: Callout, outside: Outside) -> None:
    for _ in range(5):
        await callout(url=outside.url, method="PUT", body={"a": 1})

    assert len({request.connection for request in outside.received}) == 1


async def test_scripts_of_all_threads_share_the_connections(
    callout: Callout, outside: Outside
) -> None:
    def on_a_loop_of_its_own() -> None:
        asyncio.run(callout(url=outside.url))

    await asyncio.gather(*(asyncio.to_thread(on_a_loop_of_its_own) for _ in range(4)))
    assert len({request.connection for request in outside.received}) <= 4
    for _ in range(3):
        await asyncio.to_thread(on_a_loop_of_its_own)
    assert len({request.connection for request in outside.received}) <= 4


async def test_sends_no_more_at_once_than_it_may(callout: Callout, outside: Outside) -> None:
    outside.delay = 0.05
    await asyncio.gather(*(callout(url=outside.url) for _ in range(12)))

    assert len({request.connection for request in outside.received}) <= 4


async def test_goes_on_after_the_other_side_closed(callout: Callout, outside: Outside) -> None:
    outside.headers = {"Connection": "close"}
    codes = [(await callout(url=outside.url, method="PUT", body="x")).code for _ in range(3)]

    assert codes == [200, 200, 200]
    assert len({request.connection for request in outside.received}) == 3


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_follows_no_redirect(
    callout: Callout, outside: Outside, gateway: Outside, code: int
) -> None:
    outside.codes, outside.headers = [code], {"Location": f"{gateway.url}/elsewhere"}
    answer = await callout(url=outside.url)

    assert answer.code == code
    assert answer.headers["Location"] == f"{gateway.url}/elsewhere"
    assert len(outside.received) == 1
    assert gateway.received == []


@pytest.mark.parametrize("code", [400, 404, 503])
async def test_no_code_raises(callout: Callout, outside: Outside, code: int) -> None:
    outside.codes = [code]
    answer = await callout(url=outside.url)

    assert answer.code == code
    assert answer.body == b"hello"


async def test_no_answer_is_599(callout: Callout, unreachable: str) -> None:
    answer = await callout(endpoint=unreachable, path="/")

    assert (answer.code, answer.body) == (599, b"")
    assert answer.error is not None
    with pytest.raises(Exception, match="599"):
        answer.rethrow()


async def test_no_answer_in_time_is_599(callout: Callout, outside: Outside) -> None:
    outside.delay = 5
    started = time.monotonic()
    answer = await callout(url=outside.url, request_timeout=0.1)

    assert answer.code == 599
    assert time.monotonic() - started < 2


async def test_the_timeouts_of_the_process_hold_by_default(
    making: Making, outside: Outside
) -> None:
    outside.delay = 5

    assert (await making(1, 0.1)(url=outside.url)).code == 599


async def test_no_connection_in_time_is_599(callout: Callout) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        place = f"127.0.0.1:{full.getsockname()[1]}"
        with socket.create_connection(full.getsockname()):
            started = time.monotonic()
            answer = await callout(url=f"http://{place}/", connect_timeout=0.1)

    assert answer.code == 599
    assert time.monotonic() - started < 2


async def test_an_answer_that_breaks_off_is_599(callout: Callout) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        writer.close()

    async with await asyncio.start_server(break_off, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await callout(url=f"http://127.0.0.1:{port}/", method="PUT")).code == 599


async def test_an_answer_too_large_for_memory_is_599(
    callout: Callout, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "MAX_ANSWER_BYTES", 1000)
    outside.body = b"x" * 1001

    assert (await callout(url=outside.url)).code == 599
    outside.body = b"x" * 1000
    assert (await callout(url=outside.url)).body == outside.body


async def test_tries_again_on_the_given_codes(callout: Callout, outside: Outside) -> None:
    outside.codes = [503, 503, 200]
    answer = await callout(url=outside.url, retry_count=5, retry_codes=[503], retry_interval=0.01)

    assert answer.code == 200
    assert len(outside.received) == 3


async def test_gives_up_after_the_last_try(callout: Callout, outside: Outside) -> None:
    outside.codes = [503]
    answer = await callout(url=outside.url, retry_count=2, retry_codes=[503])

    assert answer.code == 503
    assert len(outside.received) == 3


async def test_tries_again_for_no_answer_only_by_default(
    callout: Callout, outside: Outside, unreachable: str
) -> None:
    outside.codes = [503]
    started = time.monotonic()

    assert (await callout(url=outside.url, retry_count=3)).code == 503
    assert len(outside.received) == 1
    assert (
        await callout(endpoint=unreachable, path="/", retry_count=2, retry_interval=0.05)
    ).code == 599
    assert time.monotonic() - started >= 0.1


async def test_waits_first_when_a_delay_is_given(callout: Callout, outside: Outside) -> None:
    started = time.monotonic()
    await callout(url=outside.url, delay=0.1)

    assert time.monotonic() - started >= 0.1


@pytest.mark.parametrize(
    ("given", "header", "value"),
    [
        ("tok", "X-Auth-Token", "tok"),
        (("user", "pässword"), "Authorization", "Basic dXNlcjpww6Rzc3dvcmQ="),
    ],
)
async def test_sends_credentials(
    callout: Callout, outside: Outside, given: Any, header: str, value: str
) -> None:
    await callout(url=outside.url, authentication=given)

    assert outside.last.headers[header] == value


async def test_parses_json_when_asked(callout: Callout, outside: Outside) -> None:
    outside.body = b'{"a": [1]}'
    answer = await callout(url=outside.url, response_jsonify=True)

    assert answer.code == 200
    assert answer.body == {"a": [1]}  # type: ignore[comparison-overlap]


async def test_an_empty_answer_is_json_null(
    callout: Callout, outside: Outside, unreachable: str
) -> None:
    outside.codes, outside.body = [204], b""

    assert (await callout(url=outside.url, response_jsonify=True)).body is None
    assert (await callout(endpoint=unreachable, path="/", response_jsonify=True)).code == 599


async def test_says_so_when_the_answer_is_not_json(callout: Callout, outside: Outside) -> None:
    with pytest.raises(Error, match="502 callout: the answer is not JSON"):
        await callout(url=outside.url, response_jsonify=True)


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"url": "http://127.0.0.1:99999/"},
        {"url": "http://127.0.0.1:x/"},
        {"url": "http:///nowhere"},
        {"url": "/only/a/path"},
        {"url": "ftp://127.0.0.1/"},
        {"url": "http://ours\\@127.0.0.1/"},
        {"endpoint": "::1:9099", "path": "/"},
        {"path": "/half\ud83d"},
        {"url": "http://127.0.0.1/?a=\udfff"},
    ],
)
async def test_refuses_a_call_that_leads_nowhere(callout: Callout, where: dict[str, str]) -> None:
    with pytest.raises(Error) as caught:
        await callout(**where)  # type: ignore[arg-type]

    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("endpoint", "path", "target"),
    [
        ("{place}", "/v1/x", "/v1/x"),
        ("{place}", "v1/x?a=b", "/v1/x?a=b"),
        ("{url}/", "/v1/x", "/v1/x"),
        ("{url}/base/", "v1", "/base/v1"),
    ],
)
async def test_puts_endpoint_and_path_together(
    callout: Callout, outside: Outside, endpoint: str, path: str, target: str
) -> None:
    where = endpoint.format(place=outside.place, url=outside.url)
    await callout(endpoint=where, path=path)

    assert outside.last.target == target


async def test_encodes_the_path_when_asked(callout: Callout, outside: Outside) -> None:
    await callout(endpoint=outside.place, path="/日 本?q=é", auto_url_encode=True)

    assert outside.last.target == "/%E6%97%A5%20%E6%9C%AC?q=%C3%A9"


async def test_goes_to_our_own_gateway_by_default(callout: Callout, gateway: Outside) -> None:
    assert (await callout("/v1/x", "PUT")).code == 200
    assert gateway.last.target == "/v1/x"


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/v1/x", "/v1/x"),
        ("/v1/x?a=b#c", "/v1/x"),
        ("/v1/a b", "/v1/a%20b"),
        ("/v1/日本", "/v1/%E6%97%A5%E6%9C%AC"),
        ("/v1/%2fx", "/v1/%2Fx"),
        ("/v1/../x", "/x"),
        ("", "/"),
    ],
)
async def test_brings_a_pass_for_the_request_as_it_is_sent(
    callout: Callout, gateway: Outside, passes: Passes, path: str, seen: str
) -> None:
    await callout(path, "put")
    value = gateway.last.headers[HEADER]

    assert gateway.last.target.partition("?")[0] == seen
    assert passes.admits(value, gateway.place, "PUT", seen)
    assert not passes.admits(value, gateway.place, "GET", seen)
    assert not passes.admits(value, gateway.place, "PUT", seen + "/")


async def test_brings_a_pass_however_the_gateway_is_named(
    callout: Callout, gateway: Outside
) -> None:
    port = gateway.url.rpartition(":")[2]
    for url in (gateway.url, f"HTTP://127.0.0.1:{port}/x", f"http://user@127.0.0.1:{port}/x"):
        await callout(url=url)

        assert HEADER in gateway.last.headers


@pytest.mark.parametrize(
    "headers",
    [
        *({"X-Auth-Token": "t"}, {"x-auth-token": "t"}, {"AUTHORIZATION": "Bearer t"}),
        {"X-API-Key": "any"},
    ],
)
async def test_brings_no_pass_beside_a_credential_of_the_script(
    callout: Callout, gateway: Outside, headers: dict[str, str]
) -> None:
    await callout("/v1/x", headers=headers)
    assert HEADER not in gateway.last.headers

    await callout("/v1/x", authentication="t")
    assert HEADER not in gateway.last.headers


async def test_never_brings_a_pass_anywhere_else(
    callout: Callout, outside: Outside, gateway: Outside
) -> None:
    port = outside.url.rpartition(":")[2]
    headers = {"Host": gateway.place}
    for url in (
        outside.url,
        f"http://localhost:{port}/",
        f"http://{gateway.place}@127.0.0.1:{port}/",
        f"http://127.0.0.1:{port}/?{gateway.url}/",
        f"http://127.0.0.1:{port}/{gateway.url}",
        f"http://127.0.0.1:{port}#{gateway.place}",
    ):
        await callout(url=url, headers=headers)

    assert len(outside.received) == 6
    assert all(HEADER not in request.headers for request in outside.received)
    assert gateway.received == []


async def test_brings_no_pass_over_another_scheme(
    callout: Callout, passes: Passes, outside: Outside
) -> None:
    passes.know(f"https://{outside.place}")
    await callout(url=outside.url)

    assert HEADER not in outside.last.headers


async def test_speaks_the_scheme_that_the_gateway_has(
    callout: Callout, passes: Passes, outside: Outside
) -> None:
    passes.know(f"https://{outside.place}")
    answer = await callout(endpoint=outside.place, path="/")

    assert answer.code == 599
    assert outside.received == []


async def test_a_pass_goes_to_no_redirect(
    callout: Callout, outside: Outside, gateway: Outside
) -> None:
    gateway.codes, gateway.headers = [307], {"Location": outside.url}
    await callout("/v1/x")

    assert outside.received == []


async def test_routes_statically_when_asked_to(callout: Callout, outside: Outside) -> None:
    await callout(url=outside.url, static_route="10.0.0.7:80")

    assert outside.last.headers["X-Xaas-Static-Routing"] == "10.0.0.7:80"


async def test_keeps_no_cookies(callout: Callout, outside: Outside) -> None:
    outside.headers = {"Set-Cookie": "a=b"}
    await callout(url=outside.url)
    await callout(url=outside.url)

    assert "Cookie" not in outside.last.headers


def test_takes_the_arguments_of_qmonus_in_their_order() -> None:
    given = list(inspect.signature(Callout.__call__).parameters)[1:]

    assert (
        given
        == (
            "path method body headers url endpoint static_route xid xname scenario_resume_index"
            " scenario_iteration connect_timeout request_timeout retry_interval retry_count"
            " retry_codes delay authentication lambda_termination validate_cert ca_certs client_key"
            " client_cert response_jsonify via_apigw auto_url_encode"
        ).split()
    )


async def test_checks_certificates_unless_validate_cert_is_off(
    callout: Callout, tls_files: tuple[Path, Path]
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*tls_files)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert (await callout(url=url)).code == 599
        assert (await callout(url=url, validate_cert=False)).code == 200
        assert (await callout(url=url, ca_certs=str(tls_files[0]))).code == 200


async def test_a_cancelled_call_ends_its_request(callout: Callout, outside: Outside) -> None:
    outside.delay = 30
    calling = asyncio.create_task(callout(url=outside.url))
    while not outside.received:
        await asyncio.sleep(0.01)
    calling.cancel()

    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_calls_of_many_threads_begin_on_one_loop(outside: Outside) -> None:
    client = Outgoing(max_connections=8)
    message = OutgoingRequest(
        url=outside.url, method="GET", headers={}, body=None, connect_timeout=2, request_timeout=5
    )

    def call() -> int:
        return asyncio.run(client.send(message)).code

    codes = await asyncio.gather(*(asyncio.to_thread(call) for _ in range(16)))
    await client.close()
    assert codes == [200] * 16


async def test_an_unused_client_closes() -> None:
    await Outgoing(max_connections=1).close()


async def test_sends_what_json_can_hold(callout: Callout, outside: Outside) -> None:
    with pytest.raises(TypeError):
        await callout(url=outside.url, body={"a": object()})
    await callout(url=outside.url, method="PUT", body={"b": json.loads("1.5")})

    assert outside.last.body == b'{"b": 1.5}'
