"""What clients get when scripts fail, leave too much, or upload while they are asked."""

import pytest

from tests.integration.two_processes import TwoProcesses

UPLOADING = "APIGW.OnFileUploading"

GATE = """\
name = event["path"].rpartition("/")[2]
if name == "crash": raise ValueError("private detail")
if name == "half": raise Error(422, "half " + chr(0xD83D))
if name == "halfcrash": raise ValueError("half " + chr(0xD83D))
if name == "large": handle.terminate(403, "x" * (5 << 20))
if name == "value": return 401
if name == "thin": handle.terminate(99)
if name == "loop":
    made = await callout(path="/upload/loop", method=PUT, body="x")
    handle.terminate(409, f"{made.code} " + made.body.decode()[:60])
"""

PUBLIC = {
    "type": "/docs/reference/problems.md#script-failed",
    "status": 500,
    "title": "Internal Server Error",
    "detail": "a plugin failed; the log has the reason under the request id",
    "code": "script-failed",
}


async def put(two: TwoProcesses, name: str, **fields: str) -> tuple[int, object]:
    headers = {**two.admin, **{name.replace("_", "-"): value for name, value in fields.items()}}
    status, body = await two.send("PUT", f"/upload/{name}", data=b"x", headers=headers)
    if isinstance(body, dict):
        body.pop("request_id", None)
    return status, body


async def test_a_failure_of_a_gate_is_a_problem_without_its_details(
    two: TwoProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    two.handler("gate", UPLOADING, *GATE.splitlines())
    two.route("/v1/crash", "raise ValueError('private detail')", auth_mode="none")
    await two.start()

    for name in ("crash", "halfcrash", "large", "value", "thin"):
        assert (name, *await put(two, name)) == (name, 500, PUBLIC)
    assert await put(two, "half") == (422, "half \\ud83d")
    status, body = await two.send("GET", "/v1/crash")
    assert (status, body | PUBLIC) == (500, body)

    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "ValueError: private detail" in caplog.text
    assert "gate: a handler left an event of" in text
    assert "an output of 5242882; together at most 4194304 are sent to APIGW" in text
    assert (await put(two, "fine"))[0] == 201


async def test_a_route_answers_with_headers_of_its_script(two: TwoProcesses) -> None:
    page = '(200, "<p>日</p>", {"Content-Type": "text/html; charset=utf-8", "X-Made": "日"})'
    two.route("/v1/page", f"return {page}", auth_mode="none")
    two.route("/v1/length", "finish('x', headers={'content-length': 9})", auth_mode="none")
    await two.start()

    async with two.http.get(f"{two.url}/v1/page") as answer:
        assert (answer.status, await answer.text()) == (200, "<p>日</p>")
        assert answer.headers.getall("Content-Type") == ["text/html; charset=utf-8"]
        assert answer.headers["X-Made"] == "日"
    assert await two.status("GET", "/v1/length") == 500


async def test_a_gate_that_uploads_and_is_asked_again_is_told_so(two: TwoProcesses) -> None:
    two.handler("gate", UPLOADING, *GATE.splitlines())
    await two.start()

    status, said = await put(two, "loop")

    assert status == 409
    assert str(said).startswith('409 508 {"type": "/docs/reference/problems.md#loop-detected"')


async def test_a_gate_that_passes_over_the_loop_is_named_in_the_log(
    two: TwoProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    upload = "await callout(path='/upload/audit', method=PUT, body='x')"
    two.handler("gate", UPLOADING, upload)
    await two.start()

    assert (await put(two, "any"))[0] == 201

    [warned] = [vars(record) for record in caplog.records if "PUT http" in record.getMessage()]
    assert (warned["action"], warned["code"], warned["line"]) == ("callout_unanswered", 508, 5)
    assert "gate.script" in warned["message"]
    assert "got 508: Loop Detected" in warned["message"]


async def test_a_gate_that_allows_its_own_path_first_may_upload_there(two: TwoProcesses) -> None:
    two.handler(
        "gate",
        UPLOADING,
        "if event['path'] == '/upload/audit': return",
        "made = await callout(path='/upload/audit', method=PUT, body='x')",
        "if made.code not in (200, 201): handle.terminate(500, 'no audit')",
    )
    await two.start()

    assert (await put(two, "any"))[0] == 201
    assert (two.folder / "upload/audit").read_bytes() == b"x"
    # A client cannot have it refused by claiming that gates wait for its upload.
    assert (await put(two, "other", X_Qmonus_Lite_Gate_Depth="1"))[0] == 201
