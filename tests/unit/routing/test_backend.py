"""Requests that go on to a backend, on real sockets."""

import asyncio
import base64
import gzip
import re
from asyncio import StreamReader, StreamWriter

import pytest

from qmonus_lite.auth import apikey
from qmonus_lite.errors import BadGateway, GatewayTimeout
from qmonus_lite.routing.backend import MAX_BODY_BYTES
from tests.unit.routing.conftest import Raw
from tests.unit.routing.routing_setup import Echo, RouteOf, RoutingSetup, catalog, incoming_of


async def test_passes_request_and_answer_through(setup: RoutingSetup, echo: Echo) -> None:
    echo.status, echo.headers = 404, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-A", "b")]
    reply = await setup.ask(
        RouteOf(authorities=[echo.authority]),
        "PATCH",
        "/v1/x?b=%20+&a&b=",
        headers={"X-C": "d", "Content-Type": "text/x"},
        body=b"\x00\xff",
    )

    assert (echo.last.method, echo.last.raw_path) == ("PATCH", "/v1/x?b=%20+&a&b=")
    assert echo.last.body == b"\x00\xff"
    assert echo.last.headers == {
        "Host": echo.authority,
        "X-C": "d",
        "Content-Type": "text/x",
        "Content-Length": "2",
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Host": "gateway.example",
        "X-Forwarded-Proto": "https",
    }
    assert (reply.code, reply.body) == (404, b"from the backend")
    assert [value for name, value in reply.fields if name == "Set-Cookie"] == ["a=1", "b=2"]
    assert (reply.headers["X-A"], reply.headers["Content-Length"]) == ("b", "16")


async def test_fills_the_target_with_variables_as_they_came(
    setup: RoutingSetup, echo: Echo
) -> None:
    route = RouteOf(
        path="/v1/{kind}/{id}", target="/back/{id}/of/{kind}", authorities=[echo.authority]
    )
    await setup.ask(route, "GET", "/v1/a%20b/%E6%97%A5%3f")

    assert echo.last.raw_path == "/back/%E6%97%A5%3f/of/a%20b"


async def test_headers_of_one_connection_stay_there(setup: RoutingSetup, echo: Echo) -> None:
    echo.headers = [("Connection", "X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5")]
    sent = {
        "Connection": "keep-alive, x-mine",
        "X-Mine": "1",
        "TE": "trailers",
        "Upgrade": "h2c",
        "Proxy-Authorization": "Basic x",
        "Expect": "100-continue",
        "Content-Length": "99",
        "Forwarded": "for=1.2.3.4",
        "X-Forwarded-For": "1.2.3.4",
    }
    reply = await setup.ask(RouteOf(authorities=[echo.authority]), "GET", "/v1/x", headers=sent)

    assert set(echo.last.headers) == {
        "Host",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
    }
    assert echo.last.headers["X-Forwarded-For"] == "192.0.2.7"
    assert {"Connection", "X-Hop", "Keep-Alive"}.isdisjoint(reply.headers)


async def test_header_fields_of_the_gateway_are_not_sent_twice(
    setup: RoutingSetup, echo: Echo
) -> None:
    echo.headers = [("X-Request-Id", "theirs")]
    reply = await setup.ask(RouteOf(authorities=[echo.authority]), "GET", "/v1/x")

    assert {"Server", "Date", "X-Request-Id"}.isdisjoint(reply.headers)


@pytest.mark.parametrize("needs_account", [True, False])
async def test_a_credential_of_ours_is_never_forwarded(
    setup: RoutingSetup, echo: Echo, needs_account: bool
) -> None:
    token = setup.token("reader")
    route = RouteOf(needs_account=needs_account, authorities=[echo.authority])
    for headers in ({"X-Auth-Token": token}, {"Authorization": f"Bearer {token}"}):
        await setup.ask(route, "GET", "/v1/x", headers=headers)

        assert headers.keys().isdisjoint(echo.last.headers)


async def test_a_pass_is_never_forwarded(setup: RoutingSetup, echo: Echo) -> None:
    for needs_account in (True, False):
        route = RouteOf(needs_account=needs_account, authorities=[echo.authority])
        await setup.ask(route, "GET", "/v1/x", headers=setup.pass_for("GET", "/v1/x"))

        assert "X-Qmonus-Lite-Pass" not in echo.last.headers


async def test_a_credential_for_the_backend_is_forwarded(setup: RoutingSetup, echo: Echo) -> None:
    closed = RouteOf(needs_account=True, authorities=[echo.authority])
    headers = {"X-Auth-Token": setup.token("reader"), "Authorization": "Basic dTpw"}
    await setup.ask(closed, "GET", "/v1/x", headers=headers)
    assert echo.last.headers["Authorization"] == "Basic dTpw"

    headers = {"X-Auth-Token": "theirs", "Authorization": "Bearer theirs"}
    await setup.ask(RouteOf(authorities=[echo.authority]), "GET", "/v1/x", headers=headers)
    assert headers.items() <= echo.last.headers.items()


async def test_a_script_may_put_a_credential_in_place_of_ours(
    setup: RoutingSetup, echo: Echo
) -> None:
    route = RouteOf(
        needs_account=True,
        authorities=[echo.authority],
        request="request.headers['X-Auth-Token'] = 'for the backend'",
    )
    await setup.ask(route, "GET", "/v1/x", headers={"X-Auth-Token": setup.token("reader")})

    assert echo.last.headers["X-Auth-Token"] == "for the backend"


async def test_a_named_backend_takes_the_place_of_those_of_the_route(
    setup: RoutingSetup, echo: Echo, unreachable: str
) -> None:
    headers = {"X-Auth-Token": setup.token("guide"), "X-Xaas-Static-Routing": echo.authority}
    route = RouteOf(needs_account=True, authorities=[unreachable])
    reply = await setup.ask(route, "GET", "/v1/x", headers=headers)

    assert reply.code == 200
    assert "X-Xaas-Static-Routing" not in echo.last.headers


async def test_the_next_backend_is_tried_when_one_is_away(
    setup: RoutingSetup, echo: Echo, unreachable: str
) -> None:
    route = RouteOf(authorities=[unreachable, "no-such-host.invalid", echo.authority])
    reply = await setup.ask(route, "POST", "/v1/x", body=b"once")

    assert reply.code == 200
    assert [received.body for received in echo.received] == [b"once"]


@pytest.mark.parametrize("many", [0, 2])
async def test_no_backend_in_reach_is_a_bad_gateway(
    setup: RoutingSetup, unreachable: str, many: int
) -> None:
    with pytest.raises(BadGateway) as refused:
        await setup.ask(RouteOf(authorities=[unreachable] * many), "GET", "/v1/x")

    assert refused.value.detail == "no backend of this route answered"


async def test_a_redirect_is_given_to_the_client(setup: RoutingSetup, echo: Echo) -> None:
    echo.status, echo.headers = 302, [("Location", "/elsewhere")]
    reply = await setup.ask(RouteOf(authorities=[echo.authority]), "GET", "/v1/x")

    assert (reply.code, reply.headers["Location"], len(echo.received)) == (302, "/elsewhere", 1)


async def test_a_compressed_body_stays_compressed(setup: RoutingSetup, echo: Echo) -> None:
    echo.headers, echo.body = [("Content-Encoding", "gzip")], gzip.compress(b"text")
    reply = await setup.ask(RouteOf(authorities=[echo.authority]), "GET", "/v1/x")

    assert gzip.decompress(reply.body) == b"text"
    assert reply.headers["Content-Encoding"] == "gzip"


async def test_a_head_keeps_the_length_and_has_no_body(setup: RoutingSetup, echo: Echo) -> None:
    reply = await setup.ask(RouteOf(authorities=[echo.authority]), "HEAD", "/v1/x")

    assert (echo.last.method, reply.body) == ("HEAD", b"")
    assert reply.headers["Content-Length"] == "16"


async def test_a_head_through_a_response_script_names_no_length(
    setup: RoutingSetup, echo: Echo
) -> None:
    route = RouteOf(response="pass", authorities=[echo.authority])
    reply = await setup.ask(route, "HEAD", "/v1/x")

    assert "Content-Length" not in reply.headers


async def test_bytes_of_a_header_survive(setup: RoutingSetup, raw: Raw) -> None:
    heads: list[bytes] = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        head = "HTTP/1.1 200 OK\r\nX-Name: 日\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())

    sent = "日".encode().decode("latin-1")
    route = RouteOf(authorities=[await raw(talk)])
    reply = await setup.ask(route, "GET", "/v1/x", headers={"X-Sent": sent, "X-Other": "é"})

    assert "X-Sent: 日\r\nX-Other: é\r\n".encode() in heads[0]
    assert reply.headers["X-Name"] == sent


async def test_a_body_flows_while_the_backend_still_sends(setup: RoutingSetup, raw: Raw) -> None:
    more = asyncio.Event()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await more.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        await writer.drain()

    plugins = catalog(RouteOf(authorities=[await raw(talk)]))
    match = setup.routing.find(plugins, "/v1/x")
    assert match is not None
    incoming = incoming_of("GET", "/v1/x", "", {})
    admission = await setup.routing.admit(match, incoming)
    answer = await setup.routing.answer(admission, incoming, plugins)
    assert not isinstance(answer.body, bytes)

    assert await anext(answer.body) == b"one"
    more.set()
    assert [piece async for piece in answer.body] == [b"two"]
    assert {"Transfer-Encoding", "Content-Length"}.isdisjoint(dict(answer.headers))


async def test_connections_are_kept(setup: RoutingSetup, raw: Raw) -> None:
    opened = 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal opened
        opened += 1
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")

    route = RouteOf(authorities=[await raw(talk)])
    for _ in range(2):
        assert (await setup.ask(route, "GET", "/v1/x")).body == b"one"

    assert opened == 1


async def test_a_kept_connection_that_was_closed_loses_no_body(
    setup: RoutingSetup, raw: Raw
) -> None:
    bodies: list[bytes] = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        bodies.append(await reader.readexactly(4))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        # The next request on this connection is read and never answered.
        await reader.read(1)

    route = RouteOf(authorities=[await raw(talk)])
    for body in (b"one.", b"two."):
        assert (await setup.ask(route, "PUT", "/v1/x", body=body)).code == 200

    assert bodies == [b"one.", b"two."]


async def test_an_ipv6_backend_stands_in_brackets(setup: RoutingSetup, raw: Raw) -> None:
    heads: list[bytes] = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    authority = await raw(talk, "::1")
    await setup.ask(RouteOf(authorities=[authority]), "GET", "/v1/x")

    assert authority.startswith("[::1]:")
    assert f"Host: {authority}\r\n".encode() in heads[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not HTTP\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort",
    ],
)
async def test_a_broken_answer_is_a_bad_gateway(
    setup: RoutingSetup, raw: Raw, answer: bytes
) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    with pytest.raises(BadGateway, match="no usable answer"):
        await setup.ask(RouteOf(authorities=[await raw(talk)]), "POST", "/v1/x")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n"])
async def test_a_silent_backend_is_a_gateway_timeout(raw: Raw, head: bytes) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(head)
        await reader.read()

    setup = RoutingSetup(answer_timeout=0.3)
    with pytest.raises(GatewayTimeout):
        await setup.ask(RouteOf(authorities=[await raw(talk)]), "GET", "/v1/x")
    await setup.close()


async def test_a_backend_that_reads_no_body_is_a_gateway_timeout(raw: Raw) -> None:
    done = asyncio.Event()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await done.wait()

    setup = RoutingSetup(answer_timeout=0.3)
    route = RouteOf(authorities=[await raw(talk)])
    with pytest.raises(GatewayTimeout):
        await setup.ask(route, "PUT", "/v1/x", body=bytes(32 << 20))
    done.set()
    await setup.close()


async def test_a_body_that_stops_is_a_bad_gateway(raw: Raw) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
        await reader.read()

    setup = RoutingSetup(answer_timeout=0.3)
    with pytest.raises(BadGateway):
        await setup.ask(RouteOf(authorities=[await raw(talk)]), "GET", "/v1/x")
    await setup.close()


async def test_a_body_too_large_for_a_script_is_a_bad_gateway(
    setup: RoutingSetup, echo: Echo
) -> None:
    echo.body = bytes(MAX_BODY_BYTES + 1)
    with pytest.raises(BadGateway, match="too large"):
        await setup.ask(RouteOf(response="pass", authorities=[echo.authority]), "GET", "/v1/x")

    without_script = await setup.ask(RouteOf(authorities=[echo.authority]), "GET", "/v1/x")
    assert len(without_script.body) == MAX_BODY_BYTES + 1


async def test_a_backend_without_tls_is_not_trusted_for_https(
    setup: RoutingSetup, echo: Echo
) -> None:
    route = RouteOf(scheme="https", authorities=[echo.authority])
    with pytest.raises(BadGateway):
        await setup.ask(route, "GET", "/v1/x")


async def test_the_log_names_the_backend_and_the_answer_does_not(
    setup: RoutingSetup, unreachable: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BadGateway) as refused:
        await setup.ask(RouteOf(authorities=[unreachable]), "GET", "/v1/x")

    assert unreachable in caplog.text
    assert not re.search(r"\d", refused.value.detail)


async def test_no_credential_of_ours_is_forwarded_wherever_it_stands(
    setup: RoutingSetup, echo: Echo
) -> None:
    key, token = apikey.new_key(), setup.token("reader")
    pair = base64.b64encode(f"ann:{key}".encode()).decode()
    route = RouteOf(authorities=[echo.authority])
    for headers in (
        *({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}, {"X-Other": token}),
        *({"Authorization": f"Basic {pair}"}, {"X-Auth-Token": key}),
    ):
        await setup.ask(route, "GET", "/v1/x", headers={**headers, "X-Kept": "1"})

        assert headers.keys().isdisjoint(echo.last.headers)
        assert echo.last.headers["X-Kept"] == "1"


async def test_a_script_passes_no_credential_of_its_client_on(
    setup: RoutingSetup, echo: Echo
) -> None:
    route = RouteOf(
        authorities=[echo.authority],
        request="request.headers['X-Copy'] = 'Bearer ' + request.headers['X-Auth-Token']",
    )
    await setup.ask(route, "GET", "/v1/x", headers={"X-Auth-Token": setup.token("reader")})

    assert {"X-Copy", "X-Auth-Token"}.isdisjoint(echo.last.headers)


async def test_a_script_may_send_a_key_of_another_installation(
    setup: RoutingSetup, echo: Echo
) -> None:
    key = apikey.new_key()
    route = RouteOf(authorities=[echo.authority], request=f"request.headers['X-API-Key'] = '{key}'")
    await setup.ask(route, "GET", "/v1/x", headers={"X-API-Key": apikey.new_key()})

    assert echo.last.headers["X-API-Key"] == key


async def test_a_key_of_another_make_is_forwarded(setup: RoutingSetup, echo: Echo) -> None:
    headers = {"X-Api-Key": "sk_live_1", "Cookie": "a=1"}
    await setup.ask(RouteOf(authorities=[echo.authority]), "GET", "/v1/x", headers=headers)

    assert headers.items() <= echo.last.headers.items()
