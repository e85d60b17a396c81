"""What to do after a delivery: a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.events.retry import (
    FIRST_DELAY_SECONDS,
    MAX_DELAY_SECONDS,
    Attempt,
    Dead,
    Done,
    Retry,
    back_off,
    decide,
)


def attempt(
    code: int, *, number: int = 1, age: float = 0, retry_after: float | None = None
) -> Attempt:
    return Attempt(
        number=number, age=age, max_age=1000, code=code, reason="why", retry_after=retry_after
    )


@pytest.mark.parametrize("code", [200, 201, 204, 299, 302, 399])
def test_below_400_is_done(code: int) -> None:
    assert decide(attempt(code)) == Done()


@pytest.mark.parametrize("code", [400, 401, 404, 409, 410, 422, 451, 499])
def test_what_will_not_pass_is_dead(code: int) -> None:
    assert decide(attempt(code)) == Dead("why")


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again(code: int) -> None:
    decision = decide(attempt(code))

    assert isinstance(decision, Retry)
    assert decision.reason == "why"
    assert 0 <= decision.delay <= FIRST_DELAY_SECONDS * 2


@pytest.mark.parametrize(("asked", "delay"), [(0.0, 0.0), (7.0, 7.0), (1e9, MAX_DELAY_SECONDS)])
def test_comes_back_when_it_was_asked_to(asked: float, delay: float) -> None:
    assert decide(attempt(503, retry_after=asked)) == Retry(delay, "why")


@pytest.mark.parametrize("age", [1000.1, 999.9])
def test_an_event_that_would_be_too_old_is_dead(age: float) -> None:
    decision = decide(attempt(503, age=age, retry_after=1))

    assert decision == Dead("older than 1000 s; the last try: why")


def test_an_old_event_that_went_well_is_done() -> None:
    assert decide(attempt(200, age=1e9)) == Done()


@given(st.integers(1, 10_000))
def test_the_wait_grows_to_its_limit_and_never_above(number: int) -> None:
    assert (
        0 <= back_off(number) <= min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(number, 20))
    )


def test_many_do_not_come_back_at_once() -> None:
    waits = [back_off(10) for _ in range(200)]

    assert max(waits) - min(waits) > MAX_DELAY_SECONDS / 2
