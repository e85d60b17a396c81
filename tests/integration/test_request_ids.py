"""The ids that a trusted proxy gives: in the answer, in handlers and in the log."""

import logging

import pytest

from tests.integration.two_processes import TwoProcesses, until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = {"X-Request-Id": "edge-1", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


async def test_the_ids_of_a_trusted_proxy_are_those_of_the_request(
    two: TwoProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    two.flags["trusted_proxies"] = ("127.0.0.1",)
    seen = two.folder / "seen"
    two.handler("gate", "APIGW.OnFileUploading", "event['asked'] = handle.request_id")
    two.handler(
        "stored",
        "APIGW.OnFileUploaded",
        f"with open({str(seen)!r}, 'a') as file:",
        "    file.write(f\"{event['path']} {event['asked']} {handle.request_id}\\n\")",
    )
    await two.start()
    # A body that comes in one piece with its head, and one that Tornado reads.
    paths = {"/upload/small": b"x", "/upload/large": b"x" * 300_000}
    for path, body in paths.items():
        async with two.http.put(two.url + path, data=body, headers=GIVEN) as answer:
            assert (answer.status, answer.headers["X-Request-Id"]) == (201, "edge-1")
    await until(lambda: seen.exists() and len(seen.read_text().splitlines()) == 2)

    assert sorted(seen.read_text().splitlines()) == [
        f"{path} edge-1 edge-1" for path in sorted(paths)
    ]
    answered = [vars(one) for one in caplog.records if vars(one).get("action") == "request"]
    uploads = [one for one in answered if one["message"].startswith("PUT ")]
    assert [(one["request_id"], one["trace_id"]) for one in uploads] == [("edge-1", TRACE)] * 2
