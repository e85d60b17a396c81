"""The pass of callout: one address, one method, one path, one minute."""

import pytest

from qmonus_lite.auth.callout_pass import HEADER, SUBJECT, TTL_SECONDS, Passes
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.clock import Clock
from tests.unit.auth.test_tokens import LateClock

PLACE = "127.0.0.1:9099"
PASSES = Passes(minter=Minter(key=b"p" * 32, clock=Clock("UTC")))


def issued(place: str = PLACE, method: str = "PUT", path: str = "/v1/x") -> str:
    return PASSES.issue(place, method, path)[HEADER]


def test_admits_the_request_that_it_was_made_for() -> None:
    assert PASSES.admits(issued(), PLACE, "PUT", "/v1/x")


@pytest.mark.parametrize(
    ("place", "method", "path"),
    [
        ("127.0.0.1:9098", "PUT", "/v1/x"),
        ("localhost:9099", "PUT", "/v1/x"),
        (PLACE, "GET", "/v1/x"),
        (PLACE, "PUT", "/v1/x/"),
        (PLACE, "PUT", "/v1"),
        (PLACE, "PUT", "/V1/X"),
    ],
)
def test_admits_no_other_request(place: str, method: str, path: str) -> None:
    assert not PASSES.admits(issued(), place, method, path)
    assert not PASSES.admits(issued(place, method, path), PLACE, "PUT", "/v1/x")


@pytest.mark.parametrize("value", ["", "nonsense", "a.b.c", "caf\xe9"])
def test_admits_nothing_without_a_pass(value: str) -> None:
    assert not PASSES.admits(value, PLACE, "PUT", "/v1/x")


def test_a_token_of_logon_is_no_pass() -> None:
    token = PASSES.minter.mint("user", audience=PLACE, ttl=60)

    assert not PASSES.admits(token, PLACE, "PUT", "/v1/x")


def test_a_pass_is_over_after_a_minute() -> None:
    late = Passes(minter=Minter(key=b"p" * 32, clock=LateClock(-TTL_SECONDS - 1)))

    assert not PASSES.admits(late.issue(PLACE, "PUT", "/v1/x")[HEADER], PLACE, "PUT", "/v1/x")


def test_another_key_makes_no_pass() -> None:
    other = Passes(minter=Minter(key=b"o" * 32, clock=Clock("UTC")))

    assert not PASSES.admits(other.issue(PLACE, "PUT", "/v1/x")[HEADER], PLACE, "PUT", "/v1/x")


def test_a_pass_says_whose_it_is() -> None:
    assert PASSES.minter.read(issued(), audience=PLACE)["sub"] == SUBJECT


def test_knows_the_scheme_of_our_own_gateways_only() -> None:
    passes = Passes(minter=PASSES.minter)
    passes.know("https://gate.example:9099")

    assert passes.scheme("gate.example:9099") == "https"
    assert passes.scheme("gate.example:9098") is None
    assert passes.scheme("gate.example") is None
