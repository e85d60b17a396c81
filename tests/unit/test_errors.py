"""The error tree: what a client hears of each."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from qmonus_lite import errors
from qmonus_lite.errors import BadPlugins, Fault, MethodNotAllowed, Problem, Refusal, Refused


def problems(kind: type[Problem] = Problem) -> Iterator[type[Problem]]:
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield below
            yield from problems(below)


def test_the_drawing_shows_every_problem_with_its_status() -> None:
    drawing = errors.__doc__ or ""

    for kind in problems():
        assert re.search(rf"\b{kind.__name__} {int(kind.status)}\b", drawing), kind


def test_every_class_stands_in_the_drawing() -> None:
    drawn = re.findall(r"\b[A-Z]\w+", errors.__doc__ or "")
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    ours = {kind.__name__ for kind in classes if kind.__module__ == errors.__name__}

    assert ours - set(drawn) == {"Fault"}


def test_a_fault_reads_like_a_compiler_message() -> None:
    assert str(Fault("plugins/a.yml", 3, 7, "no such name")) == "plugins/a.yml:3:7: no such name"


def test_faults_stand_in_the_order_of_their_places() -> None:
    late, early = Fault("b.yml", 1, 1, "x"), Fault("a.yml", 10, 2, "x")

    assert sorted([late, early, Fault("a.yml", 9, 4, "x")])[-1] == late


def test_bad_plugins_hold_all_their_faults() -> None:
    faults = [Fault("a.yml", 1, 1, "one"), Fault("a.yml", 2, 1, "two")]
    error = BadPlugins(faults)

    assert error.faults == tuple(faults)
    assert str(error) == "a.yml:1:1: one\na.yml:2:1: two"
    assert isinstance(error, Refused)


def test_a_wrong_method_hears_which_are_offered() -> None:
    error = MethodNotAllowed("TRACE", ["PUT", "GET"])

    assert error.headers == {"Allow": "GET, PUT"}
    assert error.detail == "TRACE is not offered here; offered: GET, PUT"


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (errors.Unauthorized("who?"), {"WWW-Authenticate": 'Bearer realm="qmonus-lite"'}),
        (errors.Unavailable("later", retry_after=7), {"Retry-After": "7"}),
        (errors.NotFound("nothing"), {}),
    ],
)
def test_carries_the_headers_of_its_answer(error: Problem, headers: dict[str, str]) -> None:
    assert error.headers == headers


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (errors.NotFound("x"), Refusal(rule="not-found", reason="x")),
        (errors.TooManyRequests("x", retry_after=1), Refusal(rule="too-many-requests", reason="x")),
        (errors.NotImplementedHere("x"), Refusal(rule="not-implemented-here", reason="x")),
        (errors.Terminated(401, "x"), Refusal(rule="terminate")),
        (errors.Terminated(401, "x", refusal=Refusal(plugin="p")), Refusal(plugin="p")),
    ],
)
def test_whoever_refused_is_known_by_a_stable_word(error: Any, refusal: Refusal) -> None:
    assert errors.refusal_of(error) == refusal


@pytest.mark.parametrize(
    ("status", "rule"),
    [(405, "method-not-allowed"), (500, "internal-fault"), (599, "refused"), (404, "not-found")],
)
def test_an_error_that_is_known_by_its_status_has_the_same_words(status: int, rule: str) -> None:
    assert errors.refusal_by_status(status, "x") == Refusal(rule=rule, reason="x")
