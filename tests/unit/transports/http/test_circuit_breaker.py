"""The breaker, on a clock of the test."""

from qmonus_lite.transports.http.circuit_breaker import MAX_FAILURES, OPEN_SECONDS, CircuitBreaker


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(MAX_FAILURES):
        assert breaker.admits(now)
        breaker.failed(now)
    return breaker


def test_lets_questions_through_until_enough_failed_in_a_row() -> None:
    breaker = CircuitBreaker()
    for _ in range(MAX_FAILURES - 1):
        breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)

    assert breaker.admits(0.0)


def test_stays_open_for_a_while() -> None:
    breaker = opened()

    assert not breaker.admits(0.0)
    assert not breaker.admits(OPEN_SECONDS - 0.01)


def test_lets_one_probe_through_at_a_time() -> None:
    breaker = opened()

    assert breaker.admits(OPEN_SECONDS)
    assert not breaker.admits(OPEN_SECONDS)


def test_a_probe_that_fails_opens_it_again() -> None:
    breaker = opened()
    breaker.admits(OPEN_SECONDS)
    breaker.failed(OPEN_SECONDS)

    assert not breaker.admits(OPEN_SECONDS + 0.01)
    assert breaker.admits(2 * OPEN_SECONDS)


def test_a_probe_that_is_well_closes_it() -> None:
    breaker = opened()
    breaker.admits(OPEN_SECONDS)
    breaker.succeeded()

    assert breaker.admits(OPEN_SECONDS)
    assert breaker.admits(OPEN_SECONDS)
