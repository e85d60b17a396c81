"""What the log says of uploads that ended before their last byte."""

import asyncio
import logging
from typing import Any

import pytest

from tests.integration.two_processes import TwoProcesses, until


def records(caplog: pytest.LogCaptureFixture, action: str) -> list[dict[str, Any]]:
    found = [vars(record) for record in caplog.records if vars(record).get("action") == action]
    return [row for row in found if row.get("url_path", "").startswith("/upload/")]


async def begin(two: TwoProcesses, name: str, framing: str, body: bytes) -> asyncio.StreamWriter:
    """Send the head and the first bytes of an upload."""
    server = two.settings.server
    _, writer = await asyncio.open_connection(server.address, server.port)
    fields = [f"{name}: {value}" for name, value in two.admin.items()]
    head = [f"PUT /upload/{name} HTTP/1.1", "Host: a", *fields, framing, "", ""]
    writer.write("\r\n".join(head).encode() + body)
    return writer


async def test_uploads_that_end_early_are_recorded_with_what_came(
    two: TwoProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    two.flags["max_upload_bytes"] = 1000
    await two.start()

    # A client that leaves in mid-body.
    writer = await begin(two, "left", "Content-Length: 900", b"x" * 300)
    await asyncio.sleep(0.3)
    writer.close()
    await until(lambda: records(caplog, "client_left"))
    [left] = records(caplog, "client_left")
    assert left["url_path"] == "/upload/left"
    assert (left["peer"], left["bytes"]) == ("127.0.0.1", 300)
    assert left["request_id"] and left["upload_id"]

    # One that is refused in mid-body, and stays.
    chunk = b"%x\r\n%b\r\n" % (700, b"x" * 700)
    caplog.clear()
    writer = await begin(two, "long", "Transfer-Encoding: chunked", chunk * 2)
    await until(lambda: records(caplog, "request"))
    [refused] = records(caplog, "request")
    assert (refused["url_path"], refused["status"]) == ("/upload/long", 413)
    assert refused["rule"] == "too-large"
    writer.close()
    await asyncio.sleep(0.1)
    assert records(caplog, "client_left") == []
    assert len(records(caplog, "request")) == 1
