"""What is known of workers: unknown is not "no handler", and a worker that is away counts."""

import pytest

from qmonus_lite.events.envelope import UPLOADING
from qmonus_lite.events.known_handlers import (
    MIN_PROBLEM_SECONDS,
    KnownHandlers,
    KnownWorker,
    Problems,
    superseded,
    warnings,
)
from qmonus_lite.events.outcome import Report
from qmonus_lite.events.report_file import State, StoredReport

A, B = "http://a:1", "http://b:1"


def word(
    endpoint: str,
    *handles: str,
    state: State = State.LIVE,
    generation: str = "g",
    own: bool = False,
    dropped: bool = False,
) -> StoredReport:
    return StoredReport(
        endpoint=endpoint,
        handles=frozenset(handles),
        generation=generation,
        heard_at=1,
        state=state,
        since=0,
        own=own,
        dropped=dropped,
    )


def live(endpoint: str, *handles: str, generation: str = "g", own: bool = False) -> KnownWorker:
    said = word(endpoint, *handles, generation=generation, own=own)
    return KnownWorker(endpoint=endpoint, last=said, has_reported=True, healthy=True)


def away(said: StoredReport, *, has_reported: bool = True) -> KnownWorker:
    return KnownWorker(endpoint=said.endpoint, last=said, has_reported=has_reported)


def test_before_anybody_was_heard_nothing_is_known() -> None:
    known = KnownHandlers.of([KnownWorker(endpoint=A)], [])

    assert known.unknown is not None
    assert (known.unhealthy_reason, known.handled) == ("no Lambda worker answers", frozenset())


def test_a_kept_report_adds_what_is_handled_and_takes_nothing_away() -> None:
    """Plugins may have been added while nothing ran."""
    known = KnownHandlers.of([away(word(A, "E"), has_reported=False)], [])

    assert known.handled == {"E"}
    assert known.unknown == "no Lambda worker has answered yet"


def test_a_configured_worker_that_never_reported_leaves_other_events_unknown() -> None:
    known = KnownHandlers.of([live(A, "E"), KnownWorker(endpoint=B)], [])

    assert known.handled == {"E"}
    assert known.unknown == "not every Lambda worker has answered yet"
    assert known.unhealthy_reason is not None
    assert f"nodes forget {B}" in known.unhealthy_reason


def test_uploads_go_on_where_a_worker_that_answers_has_the_gate() -> None:
    known = KnownHandlers.of([live(A, UPLOADING), KnownWorker(endpoint=B)], [])

    assert known.unhealthy_reason is None
    assert known.takers == {UPLOADING: (A,)}


@pytest.mark.parametrize("former", [False, True])
def test_the_gate_of_a_worker_that_is_away_stops_uploads_and_is_named(former: bool) -> None:
    gate = word(B, UPLOADING, state=State.AWAY, generation="other")
    peers = [live(A), *([] if former else [away(gate)])]
    known = KnownHandlers.of(peers, [gate] if former else [])

    assert UPLOADING in known.handled and not known.takers
    assert known.unhealthy_reason is not None
    assert f"nodes forget {B}" in known.unhealthy_reason and "away since" in known.unhealthy_reason


def test_a_dropped_report_counts_no_more_and_is_not_unknown() -> None:
    known = KnownHandlers.of([live(A), away(word(B, UPLOADING, dropped=True))], [])

    assert (known.handled, known.unknown, known.unhealthy_reason) == (frozenset(), None, None)


def report(*handles: str) -> Report:
    return Report(handles=frozenset(handles), generation="new")


@pytest.mark.parametrize(
    ("peers", "answer", "is_open"),
    [
        ([live(A, "E"), live(B)], report(), False),
        ([live(A, "E"), live(B)], report("E"), True),
        ([live(A, "E"), live(B, "E")], report(), True),
        ([live(A), away(word(B, "E", state=State.AWAY))], report(), True),
        ([live(A), away(word(B, "E", dropped=True))], report(), False),
        ([live(A, "E"), KnownWorker(endpoint=B)], report(), True),
    ],
)
def test_an_answer_without_handlers_is_open_while_somebody_may_have_one(
    peers: list[KnownWorker], answer: Report, is_open: bool
) -> None:
    assert KnownHandlers.of(peers, []).is_open("E", A, answer) is is_open


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        (word(B, "E", state=State.STOPPED), True),
        (word(B, "E", state=State.STOPPED, generation="other"), False),
        (word(B, "E", state=State.AWAY), False),
        (word(B, "E", state=State.AWAY, own=True), False),
        (word(B, "E", state=State.STOPPED, dropped=True), False),
    ],
)
def test_a_configured_worker_is_superseded_when_it_stopped_and_its_set_lives(
    said: StoredReport, gone: bool
) -> None:
    found = superseded([live(A, "E", own=True), away(said)], [])

    assert [worker.endpoint for worker in found] == ([B] if gone else [])
    assert all(worker.dropped for worker in found)


@pytest.mark.parametrize(
    ("said", "own", "gone"),
    [
        (word(B, "E", state=State.AWAY), False, True),
        (word(B, "E", state=State.AWAY, generation="other"), False, False),
        (word(B, "E", state=State.AWAY, generation="other", own=True), False, False),
        (word(B, "E", state=State.AWAY, generation="other"), True, False),
        (word(B, "E", state=State.AWAY, generation="other", own=True), True, True),
    ],
)
def test_a_worker_that_is_configured_no_more_is_superseded_by_its_set_or_by_the_next_up(
    said: StoredReport, own: bool, gone: bool
) -> None:
    assert bool(superseded([live(A, "E", own=own)], [said])) is gone


def test_nobody_is_superseded_by_who_does_not_answer() -> None:
    stopped = word(B, "E", state=State.STOPPED)

    assert superseded([away(word(A, "E")), away(stopped)], []) == []


def test_warns_of_who_is_away_what_waits_and_who_differs() -> None:
    gone = away(word("http://c:1", "F", state=State.AWAY))
    gone.aborted = 3
    peers = [live(A, "E", generation="one"), live(B, generation="two"), gone]
    said = warnings(peers, KnownHandlers.of(peers, []))

    assert said == [
        "the Lambda worker http://c:1 is away since 1970-01-01T00:00:00+00:00;"
        " 3 questions and deliveries there were ended",
        "F waits for http://c:1: no worker that answers has a handler of it",
        "Lambda workers have different plugins: one at http://a:1; two at http://b:1",
    ]


def test_a_problem_is_logged_once_when_it_lasts_and_again_when_it_comes_back() -> None:
    problems = Problems()

    assert problems.due(["a"], 0) == []
    assert problems.due(["a", "b"], MIN_PROBLEM_SECONDS) == ["a"]
    assert problems.due(["a"], 2 * MIN_PROBLEM_SECONDS) == []
    assert problems.due([], 2 * MIN_PROBLEM_SECONDS) == []
    assert problems.due(["a"], 3 * MIN_PROBLEM_SECONDS) == []
    assert problems.due(["a"], 4 * MIN_PROBLEM_SECONDS) == ["a"]
