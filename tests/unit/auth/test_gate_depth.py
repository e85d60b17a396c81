"""The signed number of gates that wait for a request."""

import pytest

from qmonus_lite.auth.callout_pass import TTL_SECONDS, Passes
from qmonus_lite.auth.gate_depth import GateDepths
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.clock import Clock
from qmonus_lite.scripting.context import GATE_DEPTH


def depths(key: bytes = b"k" * 32) -> GateDepths:
    return GateDepths(passes=Passes(minter=Minter(key=key, clock=Clock("UTC"))))


def test_reads_what_it_signed() -> None:
    assert depths().read({GATE_DEPTH: depths().sign(2)}) == 2
    assert depths().read({}) == 0


@pytest.mark.parametrize("value", ["2", "2.99999999999", "", "2.9999999999." + "0" * 64, "x" * 99])
def test_a_client_that_claims_a_depth_is_passed_over(value: str) -> None:
    assert depths().read({GATE_DEPTH: value}) == 0


def test_no_signature_is_good_for_another_depth_time_or_key() -> None:
    depth, until, signature = depths().sign(2).split(".")

    for value in (f"3.{until}.{signature}", f"{depth}.{int(until) + 1}.{signature}"):
        assert depths().read({GATE_DEPTH: value}) == 0
    assert depths(b"o" * 32).read({GATE_DEPTH: f"{depth}.{until}.{signature}"}) == 0


def test_a_value_is_valid_as_long_as_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    signed = depths().sign(1)
    now = Clock.now
    monkeypatch.setattr(Clock, "now", lambda self: now(self) + TTL_SECONDS + 1)

    assert depths().read({GATE_DEPTH: signed}) == 0
