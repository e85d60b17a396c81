"""The error tree: what a client hears of each."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

import qmonus_lite
from qmonus_lite import errors
from qmonus_lite.errors import (
    PROBLEMS,
    BadPlugins,
    Fault,
    MethodNotAllowed,
    Problem,
    Refusal,
    StartupError,
)

#: Every code that a client may have been given: none is ever changed or taken away.
CODES = {
    "bad-request": 400,
    "ambiguous-credentials": 400,
    "content-range-not-supported": 400,
    "credential-in-query": 400,
    "invalid-digest": 400,
    "invalid-framing": 400,
    "invalid-path": 400,
    "invalid-query": 400,
    "invalid-target": 400,
    "schema-mismatch": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "forbidden-path": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "request-timeout": 408,
    "conflict": 409,
    "length-required": 411,
    "precondition-failed": 412,
    "too-large": 413,
    "target-too-long": 414,
    "unsupported-media-type": 415,
    "expectation-failed": 417,
    "digest-mismatch": 422,
    "too-many-requests": 429,
    "head-too-large": 431,
    "internal-fault": 500,
    "refused": 500,
    "refused-by-script": 500,
    "script-failed": 500,
    "records-unavailable": 503,
    "script-not-started": 503,
    "script-timed-out": 504,
    "not-implemented": 501,
    "bad-gateway": 502,
    "connection-limit-reached": 503,
    "event-log-unavailable": 503,
    "publication-in-doubt": 503,
    "memory-limit-reached": 503,
    "no-worker": 503,
    "not-ready": 503,
    "stopping": 503,
    "unavailable": 503,
    "upload-limit-reached": 503,
    "gateway-timeout": 504,
    "http-version-not-supported": 505,
    "insufficient-storage": 507,
    "loop-detected": 508,
}


def problems() -> Iterator[type[Problem]]:
    return (kind for kind in PROBLEMS if kind is not Problem)


def test_every_problem_has_a_code_of_its_own_that_never_changes() -> None:
    listed = sorted(CODES.items(), key=lambda entry: (entry[1], entry[0]))

    assert [(kind.code, int(kind.status)) for kind in PROBLEMS] == listed
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", code) for code in CODES)


def test_every_problem_says_when_it_occurs_and_what_to_do() -> None:
    for kind in PROBLEMS:
        assert kind.remedy and not kind.remedy.endswith("."), kind
        assert kind.__doc__, kind


def test_every_subclass_of_problem_is_listed() -> None:
    for module in pkgutil.walk_packages(qmonus_lite.__path__, "qmonus_lite."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def with_subclasses(kind: type[Problem]) -> set[type[Problem]]:
        return {kind}.union(*map(with_subclasses, kind.__subclasses__()))

    assert with_subclasses(Problem) == set(PROBLEMS)


def test_the_drawing_shows_every_problem_with_its_status() -> None:
    drawing = errors.__doc__ or ""

    for kind in problems():
        assert re.search(rf"\b{kind.__name__} {int(kind.status)}\b", drawing), kind


def test_every_class_stands_in_the_drawing() -> None:
    drawn = re.findall(r"\b[A-Z]\w+", errors.__doc__ or "")
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    ours = {kind.__name__ for kind in classes if kind.__module__.startswith(errors.__name__)}

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
    assert isinstance(error, StartupError)


def test_the_answer_to_a_wrong_method_lists_the_allowed_methods() -> None:
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
        (errors.NotImplementedHere("x"), Refusal(rule="not-implemented", reason="x")),
        (errors.Terminated(401, "x"), Refusal(rule="terminate")),
        (errors.Terminated(401, "x", refusal=Refusal(plugin="p")), Refusal(plugin="p")),
    ],
)
def test_the_source_of_a_refusal_has_a_stable_name(error: Any, refusal: Refusal) -> None:
    assert errors.refusal_of(error) == refusal


@pytest.mark.parametrize(
    ("status", "rule"),
    [(405, "method-not-allowed"), (500, "internal-fault"), (599, "refused"), (404, "not-found")],
)
def test_a_problem_that_is_known_by_its_status_has_the_same_code(status: int, rule: str) -> None:
    problem = errors.problem_by_status(status, "x")

    assert (problem.status, problem.code, problem.detail) == (status, rule, "x")
    assert errors.refusal_of(problem) == Refusal(rule=rule, reason="x")
