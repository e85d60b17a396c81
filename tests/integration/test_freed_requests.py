"""A request is freed when it ends, however it ends, and not when the garbage collector comes."""

import asyncio
import gc
import io
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tornado.http1connection import HTTP1Connection
from tornado.iostream import BaseIOStream

from qmonus_lite.http.body import BufferedBody
from qmonus_lite.http.connection import Connection
from qmonus_lite.http.request import Request
from qmonus_lite.http.stream_body import StreamBody
from qmonus_lite.http.tornado_adapter import StreamHandler
from qmonus_lite.routing.message import Incoming
from qmonus_lite.uploads.active import ActiveUpload
from qmonus_lite.uploads.publish import ReceivedUpload
from tests.integration.two_processes import TwoProcesses, until

#: What holds a request, its body, or the buffers of its connection.
HOLDING = (
    *(StreamHandler, Request, StreamBody, BufferedBody, ActiveUpload, ReceivedUpload, Incoming),
    *(Connection, HTTP1Connection, BaseIOStream),
)
#: More than a socket takes at once, and less than the longest body.
LONG = b"x" * 300_000
CHUNKED = b"\r\nTransfer-Encoding: chunked\r\n\r\n"
WRONG = "Repr-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a client sends, and how it leaves."""

    sent: bytes
    #: Close the connection by a reset.
    reset: bool = False
    #: How the answer begins that the client waits for; none for one that leaves at once.
    answer: bytes = b""


def request(method: str, path: str, length: int, *fields: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: a", f"Content-Length: {length}", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def cases(token: str) -> dict[str, Case]:
    own = f"X-Auth-Token: {token}"
    put = f"PUT /upload/x HTTP/1.1\r\nHost: a\r\n{own}".encode()
    live = request("GET", "/-/live", 0)
    return {
        "no body comes": Case(sent=request("GET", "/-/live", 8000)),
        "half a body": Case(sent=request("POST", "/-/logon", 8000) + LONG[:7000]),
        "half a body, reset": Case(
            sent=request("POST", "/-/logon", 8000) + LONG[:7000], reset=True
        ),
        "too long": Case(sent=request("POST", "/-/logon", 1 << 20) + LONG, answer=b"HTTP/1.1 413"),
        "not found": Case(sent=b"GET /-/x HTTP/1.1\r\nHost: a\r\n\r\n", answer=b"HTTP/1.1 404"),
        "not found, body": Case(sent=request("POST", "/-/x", 9) + b"x", answer=b"HTTP/1.1 404"),
        "answered": Case(sent=request("GET", "/-/live", 2) + b"{}", answer=b"HTTP/1.1 200"),
        "half a head": Case(sent=b"POST /-/logon HTTP/1.1\r\nX: " + LONG[:30_000]),
        "no HTTP": Case(sent=b"\x16\x03\x01\r\n\r\n", answer=b"HTTP/1.1 400"),
        "behind others": Case(sent=live * 5 + request("POST", "/-/logon", 80)),
        "late": Case(sent=request("POST", "/-/logon", 80), answer=b"HTTP/1.1 408"),
        "route, half": Case(sent=request("POST", "/quick", 1 << 20) + LONG),
        "route, half, reset": Case(sent=request("POST", "/quick", 1 << 20) + LONG, reset=True),
        "route, answered": Case(sent=request("POST", "/quick", 9) + b"x" * 9, answer=b"HTTP/1.1 2"),
        "route, long": Case(sent=request("POST", "/quick", 300_000) + LONG, answer=b"HTTP/1.1 200"),
        "route, not waited for": Case(sent=request("POST", "/slow", 300_000) + LONG),
        "route, failed": Case(sent=request("POST", "/wrong", 9) + b"x" * 9, answer=b"HTTP/1.1 500"),
        "route, chunks": Case(sent=b"POST /quick HTTP/1.1\r\nHost: a" + CHUNKED + b"10\r\n123"),
        "route, bad chunk": Case(sent=b"POST /quick HTTP/1.1\r\nHost: a" + CHUNKED + b"z\r\n"),
        "upload, half": Case(sent=request("PUT", "/upload/x", 1 << 20, own) + LONG[:200_000]),
        "upload, reset": Case(sent=request("PUT", "/upload/x", 9 << 20, own) + LONG, reset=True),
        "upload, small, half": Case(sent=request("PUT", "/upload/x", 9, own) + b"x"),
        "upload, lent": Case(sent=request("PUT", "/upload/x", 9 << 20, own) + LONG),
        "upload, chunks": Case(sent=put + CHUNKED + b"10000\r\n" + LONG[:65536]),
        "upload, long chunk line": Case(sent=put + CHUNKED + LONG[:100], answer=b"HTTP/1.1 400"),
        "upload, chunks refused": Case(
            sent=put + CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n", answer=b"HTTP/1.1 400"
        ),
        "upload, no account": Case(
            sent=request("PUT", "/upload/x", 9) + b"x", answer=b"HTTP/1.1 4"
        ),
        "upload, wrong": Case(
            sent=request("PUT", "/upload/x", 300_000, own, WRONG) + LONG, answer=b"HTTP/1.1 422"
        ),
        "upload, whole, wrong": Case(
            sent=request("PUT", "/upload/x", 9, own, WRONG) + b"x" * 9, answer=b"HTTP/1.1 422"
        ),
        "upload, stored": Case(
            sent=request("PUT", "/upload/x", 300_000, own) + LONG, answer=b"HTTP/1.1 20"
        ),
        "upload, whole": Case(
            sent=request("PUT", "/upload/x", 9, own) + b"x" * 9, answer=b"HTTP/1.1 20"
        ),
        "upload, behind another": Case(
            sent=request("PUT", "/upload/x", 1, own) + b"x" + request("PUT", "/upload/y", 9, own)
        ),
    }


@asynccontextmanager
async def uncollected() -> AsyncIterator[None]:
    """Nothing is freed by the garbage collector meanwhile."""
    gc.collect()
    gc.disable()
    handlers = logging.getLogger().handlers
    kept = handlers[:]
    # pytest keeps log records, and so the frames in their tracebacks.
    handlers[:] = [logging.StreamHandler(io.StringIO())]
    try:
        yield
    finally:
        handlers[:] = kept
        gc.enable()


def held() -> list[str]:
    return [type(found).__name__ for found in gc.get_objects() if isinstance(found, HOLDING)]


async def send(port: int, case: Case) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(case.sent)
    await asyncio.wait_for(writer.drain(), 5)
    if case.answer:
        assert (await asyncio.wait_for(reader.read(100), 5)).startswith(case.answer)
    else:
        # Let all of it arrive.
        await asyncio.sleep(0.05)
    if case.reset:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()


async def kept_after(two: TwoProcesses, tried: dict[str, Case]) -> dict[str, list[str]]:
    """What is not freed by itself, by the name of the case."""
    await two.http.close()
    await until(lambda: not held())
    kept: dict[str, list[str]] = {}
    async with uncollected():
        for name, case in tried.items():
            await send(two.flags["port"], case)
            try:
                await until(lambda: not held(), 2)
            except TimeoutError:
                kept[name] = held()
                gc.collect()
    return kept


async def test_a_request_is_freed_however_it_ends(two: TwoProcesses) -> None:
    two.flags["body_stall_timeout"] = 0.3
    two.route("/quick", "return [1]", auth_mode="none")
    two.route("/slow", "import time", "time.sleep(0.2)", "return [1]", auth_mode="none")
    two.route("/wrong", "raise ValueError(request.body)", auth_mode="none")
    await two.start()

    assert await kept_after(two, cases(two.admin["X-Auth-Token"])) == {}


async def test_an_upload_that_handlers_are_asked_about_is_freed(two: TwoProcesses) -> None:
    two.handler(
        "gate", "APIGW.OnFileUploading", "if 'bad' in event['path']: raise ValueError(event)"
    )
    two.noting("note", "APIGW.OnFileUploaded")
    await two.start()

    tried = {
        f"{name}, {size}": Case(
            sent=request("PUT", f"/upload/{name}", size) + LONG[:size], answer=b"H"
        )
        for name in ("good", "bad")
        for size in (9, 300_000)
    }
    wrong = request("PUT", "/upload/good", 9, WRONG) + LONG[:9]
    tried["good, wrong"] = Case(sent=wrong, answer=b"HTTP/1.1 422")
    assert await kept_after(two, tried) == {}
