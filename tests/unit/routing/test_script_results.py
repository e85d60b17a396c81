"""What scripts may say, and what it becomes."""

import datetime
from http import HTTPStatus
from typing import Any

import pytest

from qmonus_lite.routing import script_results
from qmonus_lite.scripting.builtins.mu import MU


@pytest.mark.parametrize(
    ("value", "code", "kind", "body"),
    [
        ({"a": "日"}, 200, "application/json", '{"a": "日"}'.encode()),
        ([1], 200, "application/json", b"[1]"),
        (MU(a=MU(b=[1])), 200, "application/json", b'{"a": {"b": [1]}}'),
        ("日", 200, "text/plain; charset=utf-8", "日".encode()),
        ("", 200, "text/plain; charset=utf-8", b""),
        (b"\x00", 200, "application/octet-stream", b"\x00"),
        ((404, "no"), 404, "text/plain; charset=utf-8", b"no"),
        ((HTTPStatus.ACCEPTED, {}), 202, "application/json", b"{}"),
        ((299, b"x"), 299, "application/octet-stream", b"x"),
        ((204, None), 204, None, b""),
    ],
)
def test_a_returned_value_is_an_answer(
    value: object, code: int, kind: str | None, body: bytes
) -> None:
    answer = script_results.returned(value)

    assert answer is not None
    assert (answer.code, answer.body) == (code, body)
    wanted = {"Content-Length": str(len(body))} | ({"Content-Type": kind} if kind else {})
    assert dict(answer.headers) == wanted


def test_nothing_returned_is_no_answer() -> None:
    assert script_results.returned(None) is None


@pytest.mark.parametrize(
    "value",
    [
        5,
        True,
        object(),
        {"a": datetime.datetime(2026, 1, 1)},
        {"a": float("nan")},
        ["\ud800"],
        "\ud800",
        (200,),
        (200, "a", {}, 1),
        (200, "a", [("X", "y")]),
        (200, "a", {"X": "y\r\nZ: 1"}),
        (200, "a", {"Content-Length": "5"}),
        (200, "a", {"Transfer-Encoding": "chunked"}),
        (199, "a"),
        (600, "a"),
        ("200", "a"),
        (True, "a"),
        (200, 5),
    ],
)
def test_anything_else_returned_is_unusable(value: object) -> None:
    with pytest.raises(script_results.InvalidResult):
        script_results.returned(value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "4")]),
        ({}, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "4")]),
        (
            {"content-type": "text/html", "X-Count": 5},
            [("Content-Type", "text/html"), ("X-Count", "5"), ("Content-Length", "4")],
        ),
    ],
)
def test_an_answer_has_the_headers_that_the_script_gave(
    given: object, expected: list[tuple[str, str]]
) -> None:
    finish = script_results.Finish()
    finish("<p>\n", headers=given)

    assert finish.answer == script_results.returned((200, "<p>\n", given))
    assert finish.answer is not None
    assert list(finish.answer.headers) == expected


def test_a_value_that_holds_itself_is_unusable() -> None:
    value: list[Any] = []
    value.append(value)

    with pytest.raises(script_results.InvalidResult):
        script_results.returned(value)


def test_finish_takes_an_answer_once() -> None:
    finish = script_results.Finish()
    finish("done", code=202)

    assert finish.answer == script_results.answer(202, "done")
    with pytest.raises(RuntimeError):
        finish("again")


def test_header_values_become_text() -> None:
    made = script_results.headers({"x-count": 5, "X-Text": " a\tb "})

    assert made == {"X-Count": "5", "X-Text": "a\tb"}


def test_header_values_outside_latin_1_become_utf_8() -> None:
    assert script_results.headers({"X": "日"})["X"].encode("latin-1") == "日".encode()


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [("a", "b")],
        {"a b": "c"},
        {"": "c"},
        {5: "c"},
        {"a": None},
        {"a": True},
        {"a": "b\r\nc: d"},
        {"a": "日\n"},
        {"a": "\x00"},
    ],
)
def test_unusable_headers_are_refused(headers: object) -> None:
    with pytest.raises(script_results.InvalidResult):
        script_results.headers(headers)
