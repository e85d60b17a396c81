"""The breaker, on a clock of the test."""

from qmonus_lite.events.breaker import FAILURES, OPEN, Breaker


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        assert breaker.admits(now)
        breaker.failed(now)
    return breaker


def test_lets_questions_through_until_enough_failed_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)

    assert breaker.admits(0.0)


def test_stays_open_for_a_while() -> None:
    breaker = opened()

    assert not breaker.admits(0.0)
    assert not breaker.admits(OPEN - 0.01)


def test_lets_one_probe_through_at_a_time() -> None:
    breaker = opened()

    assert breaker.admits(OPEN)
    assert not breaker.admits(OPEN)


def test_a_probe_that_fails_opens_it_again() -> None:
    breaker = opened()
    breaker.admits(OPEN)
    breaker.failed(OPEN)

    assert not breaker.admits(OPEN + 0.01)
    assert breaker.admits(2 * OPEN)


def test_a_probe_that_is_well_closes_it() -> None:
    breaker = opened()
    breaker.admits(OPEN)
    breaker.succeeded()

    assert breaker.admits(OPEN)
    assert breaker.admits(OPEN)
