"""The handle."""

import threading
from http import HTTPStatus
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from qmonus_lite.errors import Refusal
from qmonus_lite.events.envelope import Ids
from qmonus_lite.lambdas.handle import Handle, Termination
from qmonus_lite.scripting.builtins.raising import Error

WHERE = Refusal(plugin="a", file="plugins/a.yml", line=4)
IDS = Ids(event_id="e", attempt=2, request_id="r", upload_id="u")


@pytest.fixture
def handle() -> Handle:
    return Handle(WHERE, IDS)


def ended(handle: Handle) -> tuple[int, object]:
    assert handle.termination is not None
    return handle.termination.code, handle.termination.output


def test_knows_the_ids_of_its_event(handle: Handle) -> None:
    known = (handle.event_id, handle.attempt, handle.request_id, handle.upload_id)

    assert known == ("e", 2, "r", "u")


def test_nothing_is_terminated_at_first(handle: Handle) -> None:
    assert (handle.termination, handle.refusal) == (None, None)


async def test_terminates_when_called_and_may_be_awaited(handle: Handle) -> None:
    done = handle.terminate(code=401, output="Unauthorized")

    assert handle.termination == Termination(
        code=401,
        output="Unauthorized",
        refusal=Refusal(
            plugin="a", file="plugins/a.yml", line=4, rule="terminate", reason="Unauthorized"
        ),
    )
    assert await done is None  # type: ignore[func-returns-value]


def test_terminates_with_200_by_default(handle: Handle) -> None:
    handle.terminate()

    assert ended(handle) == (200, None)


def test_terminates_from_another_thread(handle: Handle) -> None:
    thread = threading.Thread(target=handle.terminate, args=(403,))
    thread.start()
    thread.join()

    assert ended(handle) == (403, None)


def test_the_first_call_counts(handle: Handle) -> None:
    handle.terminate(403, "no")
    handle.terminate(200, "yes")

    assert ended(handle) == (403, "no")


def test_an_allow_hides_no_refusal_that_comes_after_it(handle: Handle) -> None:
    handle.terminate(200)
    handle.terminate(302, "first")
    handle.terminate(403, "second")

    assert ended(handle) == (200, None)
    assert handle.refusal is not None
    assert (handle.refusal.code, handle.refusal.output) == (302, "first")


def test_takes_the_statuses_of_the_standard_library(handle: Handle) -> None:
    handle.terminate(HTTPStatus.UNAUTHORIZED)

    assert ended(handle) == (401, None)
    assert type(ended(handle)[0]) is int


@pytest.mark.parametrize("code", [0, 100, 199, 600, -1, True, "200", 200.0, None])
def test_refuses_what_is_no_final_status(
    handle: Handle, code: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Error, match="no status from 200 to 599") as caught:
        handle.terminate(code)

    assert caught.value.code == 500
    assert handle.termination is None
    assert handle.refusal is not None
    assert (handle.refusal.code, handle.refusal.output) == (500, caught.value.reason)
    [record] = caplog.records
    logged = {name: vars(record)[name] for name in ("action", "plugin", "file", "line")}
    assert logged == {
        "action": "terminate_misused",
        "plugin": "a",
        "file": "plugins/a.yml",
        "line": 4,
    }


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"location": "https://other/x", "retry-after": 3}, ("https://other/x", "3")),
        (HTTPHeaders({"Location": "/é", "Retry-After": " 4 "}), ("/é", "4")),
        ({"Location": "/名", "Retry-After": ""}, ("/名".encode().decode("latin-1"), "")),
    ],
)
def test_takes_header_fields(handle: Handle, given: Any, fields: tuple[str, str]) -> None:
    handle.terminate(308, headers=given)

    assert handle.termination is not None
    assert dict(handle.termination.headers) == dict(
        zip(("Location", "Retry-After"), fields, strict=True)
    )


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"X": "half \ud83d"}, "half of a surrogate pair is no character"),
        ({"X": "a\r\nSet-Cookie: b"}, "line break"),
        ({"X": "a\x00"}, "control character"),
        ({"X": "a\tb"}, "control character"),
        ({"X Y": "a"}, "no name of a header"),
        ({"X:": "a"}, "no name of a header"),
        ({"": "a"}, "no name of a header"),
        ({1: "a"}, "no name of a header"),
        ({"X": None}, "is of type NoneType"),
        ({"X": ["a"]}, "is of type list"),
        ({"content-length": "3"}, "set by the server"),
        ({"Transfer-Encoding": "chunked"}, "set by the server"),
        ({"Connection": "close"}, "set by the server"),
        ({"X-Request-ID": "a"}, "set by the server"),
        ("Location: /x", "is of type str"),
        ([("Location", "/x")], "is of type list"),
    ],
)
def test_refuses_header_fields_that_cannot_be_sent(handle: Handle, given: Any, why: str) -> None:
    with pytest.raises(Error, match=why):
        handle.terminate(401, "no", given)

    assert handle.refusal is not None
    assert (handle.refusal.code, handle.refusal.headers) == (500, {})


def test_a_call_after_the_end_is_logged_and_changes_nothing(
    handle: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    handle.close()
    handle.terminate(401)

    assert (handle.termination, handle.refusal) == (None, None)
    assert [vars(record)["action"] for record in caplog.records] == ["terminate_too_late"]
