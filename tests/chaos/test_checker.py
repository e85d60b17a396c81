"""The checker finds every broken rule, and none in a clean trial."""

import itertools
import math
from dataclasses import replace

import pytest

from tests.chaos.checker import Evidence, broken_rules
from tests.chaos.content import Content, IncompleteContent, make, tag_of
from tests.chaos.killer import Kill
from tests.chaos.logs import HandlerRun, LoggedEvents
from tests.chaos.planned_uploads import UploadPlanner
from tests.chaos.record import End, Record, Sighting, Upload

PATH = "/upload/f"


def upload(tag: str, began: float, **other: object) -> Upload:
    """An upload that took a second and was acknowledged, but for what is given."""
    given = Upload(
        tag=tag,
        path=PATH,
        size=1,
        invited=True,
        began=began,
        ended=began + 1,
        end=End.ACKNOWLEDGED,
        status=201,
        event_id=f"id-{tag}",
    )
    for name, value in other.items():
        setattr(given, name, value)
    return given


def seen(tag: str) -> HandlerRun:
    return HandlerRun(tag=tag, path=PATH, bytes=1, event_id=f"id-{tag}", asked=False)


def sighting(tag: str | None, at: float) -> Sighting:
    return Sighting(path=PATH, at=at, tag=tag)


class Case:
    """A clean trial: `a` was stored, then `b` over it, and both had their events."""

    def __init__(self) -> None:
        self.record = Record()
        for acknowledged in (upload("a", 0), upload("b", 10)):
            self.record.begin(acknowledged)
        self.record.sightings = [sighting("a", 5), sighting("b", 20)]
        self.logged = LoggedEvents(
            seen=[seen("a"), seen("b")],
            attempts={"id-a": [1], "id-b": [1]},
            delivered={"id-a": 1, "id-b": 1},
            dead={},
        )
        self.end: dict[str, Sighting] = {PATH: sighting("b", 100)}
        self.kills: list[Kill] = []

    def broken(self) -> set[str]:
        """Names of the broken rules."""
        evidence = Evidence(record=self.record, logged=self.logged, end=self.end, kills=self.kills)
        return {rule for rule, breaches in broken_rules(evidence).items() if breaches}


@pytest.fixture
def case() -> Case:
    return Case()


def test_a_clean_trial_breaks_no_rule(case: Case) -> None:
    assert case.broken() == set()


@pytest.mark.parametrize("moment", [5, 100])
def test_a_file_that_vanished_is_lost(case: Case, moment: float) -> None:
    case.record.sightings.append(sighting(None, moment))

    assert case.broken() == {"lost files"}


def test_a_file_that_was_not_yet_there_is_not_lost(case: Case) -> None:
    case.record.sightings.append(sighting(None, 0.5))

    assert case.broken() == set()


@pytest.mark.parametrize("tag", ["a", "nobody's"])
def test_a_file_that_went_back_or_came_from_nowhere_is_wrong(case: Case, tag: str) -> None:
    case.record.sightings.append(sighting(tag, 20))

    assert "wrong contents" in case.broken()


@pytest.mark.parametrize("end", [End.REFUSED, End.ABORTED, End.CUT])
def test_what_was_not_stored_must_not_be_seen_and_has_no_event(case: Case, end: End) -> None:
    case.record.begin(upload("c", 5, end=end, event_id=""))
    case.kills = [Kill(began=5, ended=6, while_starting=False)]
    assert case.broken() == set()

    case.record.sightings.append(sighting("c", 7))
    case.logged.seen.insert(1, seen("c"))

    assert case.broken() == {"wrong contents", "false events"}


def test_an_acknowledged_upload_without_an_event_is_found(case: Case) -> None:
    del case.logged.seen[0]

    assert case.broken() == {"lost events"}


def test_a_file_that_was_seen_needs_an_event_whatever_its_client_was_told(case: Case) -> None:
    case.record.begin(upload("c", 5, end=End.UNKNOWN, event_id=""))
    case.kills = [Kill(began=5, ended=6, while_starting=False)]
    assert case.broken() == set()

    case.record.sightings.append(sighting("c", 7))

    assert case.broken() == {"lost events"}


def test_a_client_that_got_no_answer_without_a_kill_is_found(case: Case) -> None:
    case.record.begin(upload("c", 5, end=End.UNKNOWN, ended=math.inf, event_id=""))

    assert case.broken() == {"left without an answer"}


def test_an_event_of_another_id_is_found(case: Case) -> None:
    case.logged.seen[0] = replace(seen("a"), event_id="another")

    assert case.broken() == {"unequal ids"}


def test_a_repeat_needs_a_higher_attempt(case: Case) -> None:
    case.logged.seen.insert(1, seen("a"))
    assert case.broken() == {"attempts not higher"}

    case.logged.attempts["id-a"], case.logged.delivered["id-a"] = [1, 2], 2
    assert case.broken() == set()


def test_events_out_of_order_are_found(case: Case) -> None:
    case.logged.seen.reverse()

    assert case.broken() == {"out of order", "last event not of the last content"}


def test_a_repeat_out_of_order_is_none(case: Case) -> None:
    case.logged.seen.append(seen("a"))
    case.logged.attempts["id-a"], case.logged.delivered["id-a"] = [1, 2], 2

    assert case.broken() == set()


def test_who_was_accepted_unauthorized_is_found(case: Case) -> None:
    case.record.uploads["a"].invited = False

    assert case.broken() == {"accepted unauthorized"}


def test_a_dead_letter_is_found(case: Case) -> None:
    case.logged.dead["id-b"] = "tired"

    assert case.broken() == {"dead letters"}


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_content_proves_itself(size: int) -> None:
    content = make("1-1", bytes(size))

    assert tag_of(content.data) == "1-1"
    for half in (content.data[:-1], content.data + b"x", content.data[:10], b""):
        with pytest.raises(IncompleteContent):
            tag_of(half)


def test_a_seed_gives_the_same_uploads_again() -> None:
    def some(seed: int) -> list[tuple[str, Content]]:
        planner = UploadPlanner(seed, client=1, meetings=itertools.count())
        planned = [planner.next() for _ in range(50)]
        return [(upload.path, upload.content) for upload in planned]

    assert some(7) == some(7) != some(8)
