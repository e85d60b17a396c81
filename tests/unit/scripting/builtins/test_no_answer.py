"""Odd answers are borne, and no answer says why: to the script, and once to the log."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from qmonus_lite.scripting import context
from qmonus_lite.scripting.builtins import no_answer
from qmonus_lite.scripting.builtins.callout import Callout
from qmonus_lite.scripting.builtins.client_timeouts import keepalive_socket
from tests.unit.scripting.builtins.conftest import Making, Outside


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[str]:
    """The address of a server that says these bytes to whoever asks."""

    async def answer_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(answer_raw, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("field", "name", "value"),
    [
        (b"X-Name: caf\xe9.txt", "X-Name", "café.txt"),
        (b"X-Name: \xe6\x97\xa5\xe6\x9c\xac", "X-Name", "日本".encode().decode("latin-1")),
        (b"X-Name: a\x01b\x7f", "X-Name", "a b"),
        (b"X-Name: \xff\xfe\x80", "X-Name", "\xff\xfe\x80"),
        (b"X-Name:", "X-Name", ""),
    ],
)
async def test_odd_bytes_in_a_field_of_an_answer_are_borne(
    callout: Callout, field: bytes, name: str, value: str
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
    async with raw_server(head + field + b"\r\n\r\nok") as url:
        answer = await callout(url=url)

    assert (answer.code, answer.body) == (200, b"ok"), answer.error
    assert answer.headers[name] == value


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\n\x00: x\r\n\r\n"])
async def test_what_is_no_answer_is_599_and_says_so(callout: Callout, answer: bytes) -> None:
    async with raw_server(answer) as url:
        got = await callout(url=url, method="POST")

    assert got.code == 599
    assert "127.0.0.1:" in got.reason
    assert got.reason in str(got.error)


async def test_the_reason_of_no_connection_stands_in_the_answer_and_in_the_log(
    callout: Callout, unreachable: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        answer = await callout(url=f"http://user:secret@{unreachable}/x?key=secret")

    assert answer.reason == f"no connection to {unreachable}: Connection refused"
    assert f"callout GET http://{unreachable}/x: {answer.reason}" in caplog.text
    assert "secret" not in caplog.text


async def test_a_name_that_does_not_resolve_is_named(callout: Callout) -> None:
    answer = await callout(url="http://nowhere.invalid/")

    assert answer.reason.startswith("nowhere.invalid: the name cannot be resolved")


async def test_an_answer_that_is_late_names_the_limit(callout: Callout, outside: Outside) -> None:
    outside.delay = 5

    answer = await callout(url=outside.url, request_timeout=0.05)

    assert answer.reason == f"no answer from {outside.place} within 0.05 s"


async def test_the_same_cause_is_logged_once_in_a_while(
    callout: Callout,
    unreachable: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(5):
        await callout(url=f"http://{unreachable}/")
    assert caplog.text.count("Connection refused") == 1

    monkeypatch.setattr(no_answer, "LOG_INTERVAL_SECONDS", 0)
    await callout(url=f"http://{unreachable}/")

    assert [getattr(record, "suppressed", None) for record in caplog.records] == [0, 4]


async def test_a_callout_to_our_own_gateway_has_no_limit_but_that_of_its_script(
    making: Making, gateway: Outside, outside: Outside
) -> None:
    gateway.delay = outside.delay = 0.3
    hurried = making(1, 0.1)

    assert (await hurried("/v1/x")).code == 200
    assert (await hurried("/v1/x", request_timeout=0.1)).code == 599
    assert (await hurried(url=outside.url)).code == 599


async def test_waiting_for_a_free_connection_is_part_of_the_time_to_connect(
    making: Making, gateway: Outside
) -> None:
    gateway.delay = 30
    hurried = making(0.2, 5)
    waiting = [asyncio.create_task(hurried("/v1/x")) for _ in range(4)]
    while len(gateway.received) < 4:
        await asyncio.sleep(0.01)

    answer = await hurried("/v1/x")

    assert answer.reason == f"no connection to {gateway.place} within 0.2 s"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_each_try_brings_a_pass_of_its_own(callout: Callout, gateway: Outside) -> None:
    gateway.codes = [599, 200]

    await callout("/v1/x", retry_count=1, retry_interval=1.1)

    first, second = (request.headers["X-Qmonus-Lite-Pass"] for request in gateway.received)
    assert first != second


async def unanswered(run: Callable[[], object]) -> context.ScriptContext:
    script_context = context.ScriptContext(config=dict, publish=dict)  # type: ignore[arg-type]

    async def script() -> None:
        context.enter(script_context)
        await run()  # type: ignore[misc]

    await asyncio.create_task(script())
    return script_context


@pytest.mark.parametrize("code", [504, 599])
async def test_a_run_knows_the_callouts_to_our_own_gateway_that_were_not_answered(
    callout: Callout, gateway: Outside, outside: Outside, code: int
) -> None:
    gateway.codes = outside.codes = [code]

    async def run() -> None:
        await callout(url=outside.url)
        await callout("/v1/x?a=b", "PUT")

    found = (await unanswered(run)).unanswered
    assert list(found) == [("PUT", f"{gateway.url}/v1/x")]
    record = found["PUT", f"{gateway.url}/v1/x"]
    assert record.code == code
    assert record.line_in(__file__) == run.__code__.co_firstlineno + 2


async def test_a_callout_that_was_answered_at_another_try_of_the_script_is_not_among_them(
    callout: Callout, gateway: Outside
) -> None:
    gateway.codes = [504, 200]

    async def run() -> None:
        assert (await callout("/v1/x")).code == 504
        assert (await callout("/v1/x")).code == 200

    assert (await unanswered(run)).unanswered == {}


def test_the_sockets_of_callouts_find_out_that_the_other_machine_is_gone() -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))

    with keepalive_socket(info) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
