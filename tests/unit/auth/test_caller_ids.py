"""Ids of a calling request in callouts to ourselves: signed, and valid for a minute."""

from datetime import UTC, datetime

import pytest

from qmonus_lite.auth.caller_ids import CallerIds
from qmonus_lite.auth.callout_pass import TTL_SECONDS, Passes
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.clock import Clock

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class AtTime(Clock):
    """A clock that stands."""

    moment_seconds = 1000.0

    def now(self) -> float:
        return self.moment_seconds

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.moment_seconds, UTC)


def ids(key: bytes = bytes(32), clock: Clock | None = None) -> CallerIds:
    return CallerIds(passes=Passes(minter=Minter(key=key, clock=clock or AtTime("UTC"))))


@pytest.mark.parametrize("parent", [PARENT, ""])
def test_what_was_signed_is_read(parent: str) -> None:
    assert ids().read(ids().sign("edge-1", parent)) == ("edge-1", parent)


def test_nothing_else_is_read() -> None:
    value = ids().sign("edge-1", PARENT)
    forged = [
        value.replace("edge-1", "edge-2"),
        value.replace("-01;", "-00;"),
        value[:-1],
        "",
        ";;;",
    ]

    assert {ids().read(each) for each in forged} == {None}
    assert ids(key=b"1" * 32).read(value) is None


def test_a_value_ends_with_its_minute() -> None:
    clock = AtTime("UTC")
    value = ids().sign("edge-1", "")
    clock.moment_seconds = 1000.0 + TTL_SECONDS

    assert ids(clock=clock).read(value) is None
