"""Outcomes and reports, as both sides read them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.errors import Problem, Refusal, Terminated
from qmonus_lite.events.outcome import MAX_RAN, BadOutcome, Outcome, Report
from qmonus_lite.observations import RanHandler
from qmonus_lite.values import changed
from tests.unit.events.test_envelope import JSON, TEXT

OUTCOMES = st.builds(
    Outcome,
    code=st.integers(200, 599),
    output=JSON,
    event=st.dictionaries(TEXT, JSON, max_size=3),
    handlers=st.lists(TEXT, max_size=3).map(tuple),
    headers=st.sampled_from([{}, {"Location": "/x"}, {"Etag": "", "X-A": "1"}]),
    refusal=st.none()
    | st.builds(
        Refusal,
        plugin=st.none() | TEXT,
        file=TEXT,
        line=st.integers(0, 10**6),
        rule=TEXT,
        reason=TEXT,
    ),
)
REPORTS = st.builds(
    Report,
    handles=st.frozensets(TEXT, max_size=3),
    generation=TEXT,
    outcome=st.none() | OUTCOMES,
    stopping=st.booleans(),
)


@given(REPORTS)
def test_arrives_as_it_was_sent(report: Report) -> None:
    assert Report.from_bytes(report.to_bytes()) == report


@pytest.mark.parametrize(
    ("code", "refused"), [(200, False), (399, False), (400, True), (599, True)]
)
def test_400_and_above_is_a_refusal(code: int, refused: bool) -> None:
    assert Outcome(code=code, output=None, event={}).refused is refused


@pytest.mark.parametrize(("code", "denied"), [(200, False), (299, False), (300, True), (500, True)])
def test_300_and_above_is_the_answer_of_a_gate(code: int, denied: bool) -> None:
    assert Outcome(code=code, output=None, event={}).denied is denied


def test_the_end_of_a_request_is_that_of_its_gate() -> None:
    refusal = Refusal(plugin="a", file="a.yml", line=3, rule="terminate", reason="no")
    headers = {"Location": "/x"}
    end = Outcome(code=308, output="o", event={}, headers=headers, refusal=refusal).as_error()

    assert isinstance(end, Terminated)
    assert (end.code, end.output, end.headers, end.refusal) == (308, "o", headers, refusal)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (500, "script-failed"),
        (504, "script-timed-out"),
        (503, "script-not-started"),
        (418, "script-failed"),
    ],
)
def test_a_failure_is_a_problem_for_the_client_and_keeps_its_details_for_the_log(
    code: int, problem: str
) -> None:
    refusal = Refusal(plugin="a", file="a.yml", line=3, rule="KeyError", reason="hidden")
    outcome = Outcome(code=code, output="hidden", event={}, refusal=refusal, failed=True)
    error = Outcome.from_json(outcome.to_json()).as_error()

    assert isinstance(error, Problem)
    assert (error.code, error.refusal) == (problem, refusal)
    assert "hidden" not in error.detail


def sample(**changed: Any) -> dict[str, Any]:
    return {"code": 200, "output": None, "event": {}, "handlers": []} | changed


def refusal(**changed: Any) -> dict[str, Any]:
    whole = {"plugin": "a", "file": "a.yml", "line": 3, "rule": "terminate", "reason": "no"}
    return whole | changed


def test_tells_which_handlers_ran_and_the_hash_of_the_one_that_refused() -> None:
    ran = RanHandler(plugin="a", file="a.yml", line=3, content_hash="0123", seconds=0.5)
    refused = Refusal(plugin="a", file="a.yml", line=4, content_hash="0123", rule="KeyError")
    outcome = Outcome(code=500, output=None, event={}, refusal=refused, ran=(ran,) * 40)

    sent = outcome.to_json()

    # Other keys would make an older APIGW refuse the answer.
    assert set(sent["refusal"]) == {"plugin", "file", "line", "rule", "reason"}
    assert Outcome.from_json(sent) == changed(outcome, ran=(ran,) * MAX_RAN)


def test_the_answer_of_an_older_worker_has_neither_headers_nor_refusal() -> None:
    outcome = Outcome.from_json(sample(code=401))

    assert (outcome.denied, outcome.headers, outcome.refusal) == (True, {}, None)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "allow",
        5,
        {},
        {"allow": True},
        sample(code="200"),
        sample(code=True),
        sample(code=199),
        sample(code=600),
        sample(code=200.0),
        sample(code=None),
        sample(event=None),
        sample(event=[]),
        sample(handlers="a"),
        sample(handlers=None),
        {"code": 200, "event": {}},
        sample(ran="a"),
        sample(ran=[{"plugin": "a"}]),
        sample(ran=[{"plugin": "a", "file": "f", "line": "x", "content_hash": "", "seconds": 0}]),
        sample(headers=[]),
        sample(headers={"X": 5}),
        sample(headers={"X": "a\r\nb: c"}),
        sample(headers={"Content-Length": "5"}),
        sample(headers={"location": "/x"}),
        sample(refusal="no"),
        sample(refusal={}),
        sample(refusal=refusal(line="3")),
        sample(refusal=refusal(line=True)),
        sample(refusal=refusal(line=-1)),
        sample(refusal=refusal(plugin=5)),
        sample(refusal=refusal(file=None)),
        sample(refusal=refusal(reason={})),
        sample(refusal=refusal(more="x")),
    ],
)
def test_refuses_what_is_no_outcome(value: object) -> None:
    with pytest.raises(BadOutcome):
        Outcome.from_json(value)


def test_an_outcome_without_output_has_none() -> None:
    value = sample()
    del value["output"]

    assert Outcome.from_json(value).output is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"allow": true}',
        b'{"handles": {}, "generation": "g", "outcome": null}',
        b'{"handles": [], "generation": 5, "outcome": null}',
        b'{"handles": [], "generation": "g", "outcome": {}}',
        b'{"handles": [], "generation": "g", "outcome": "yes"}',
        b'{"handles": [], "generation": "g"}',
        b'{"handles": [], "generation": "g", "outcome": null, "protocol": "2"}',
        b"[" * 100_000,
    ],
)
def test_refuses_what_is_no_report(raw: bytes) -> None:
    with pytest.raises(BadOutcome):
        Report.from_bytes(raw)


def test_a_report_of_an_earlier_version_does_not_say_its_protocol() -> None:
    earlier = Report.from_bytes(b'{"handles": [], "generation": "g", "outcome": null}')

    assert earlier.protocol == 1
    assert Report.from_bytes(Report(handles=frozenset(), generation="g").to_bytes()).protocol == 2


@given(
    st.dictionaries(
        st.sampled_from(["handles", "generation", "outcome"]), JSON | OUTCOMES.map(Outcome.to_json)
    )
)
def test_reads_any_json_or_refuses_it(value: dict[str, Any]) -> None:
    try:
        report = Report.from_bytes(json.dumps(value).encode())
    except BadOutcome:
        return
    assert isinstance(report.generation, str)


@pytest.mark.parametrize("left", [float("nan"), object(), "\ud800"])
def test_says_when_an_outcome_cannot_travel(left: object) -> None:
    outcome = Outcome(code=200, output=left, event={})

    with pytest.raises((TypeError, ValueError)):
        Report(handles=frozenset(), generation="g", outcome=outcome).to_bytes()
