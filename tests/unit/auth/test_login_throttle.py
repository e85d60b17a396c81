"""The throttle on guessing API keys."""

import pytest

from qmonus_lite.auth import apikey
from qmonus_lite.auth.login_throttle import (
    FREE_FAILURES,
    MAX_CLIENTS,
    MAX_WAIT_SECONDS,
    LoginThrottle,
)
from qmonus_lite.errors import BadRequest, TooManyRequests, Unauthorized
from tests.unit.auth.test_gatekeeper import KEY, Gate


class Watch:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_some_failures_are_free_and_then_waits_grow() -> None:
    watch = Watch()
    throttle = LoginThrottle(watch)
    waits = []
    for _ in range(FREE_FAILURES + 8):
        waits.append(throttle.failed("192.0.2.1"))
        watch.now += waits[-1]

    assert waits == [0] * FREE_FAILURES + [1, 2, 4, 8, 16, 32, 60, 60]
    assert waits[-1] == MAX_WAIT_SECONDS


def test_who_comes_too_early_waits_no_longer() -> None:
    watch = Watch()
    throttle = LoginThrottle(watch)
    for _ in range(FREE_FAILURES + 3):
        watch.now += throttle.failed("a")
    assert throttle.failed("a") == 8
    for _ in range(50):
        watch.now += 0.1
        assert throttle.failed("a") <= 8


def test_what_was_long_ago_is_forgotten() -> None:
    watch = Watch()
    throttle = LoginThrottle(watch)
    for _ in range(FREE_FAILURES + 1):
        throttle.failed("a")
    watch.now += 62

    assert throttle.failed("a") == 0


@pytest.mark.parametrize("gap", [0.1, 1.2, 11.0])
def test_failures_some_seconds_apart_are_free_as_well_and_no_wait_is_below_zero(gap: float) -> None:
    watch = Watch()
    throttle = LoginThrottle(watch)
    waits = []
    for _ in range(FREE_FAILURES + 1):
        waits.append(throttle.failed("a"))
        watch.now += gap

    assert waits == [0] * FREE_FAILURES + [1]


def test_one_client_does_not_delay_another() -> None:
    throttle = LoginThrottle(Watch())
    for _ in range(FREE_FAILURES + 1):
        throttle.failed("192.0.2.1")

    assert throttle.failed("192.0.2.2") == 0


def test_an_ipv6_client_is_its_network() -> None:
    throttle = LoginThrottle(Watch())
    for n in range(FREE_FAILURES):
        throttle.failed(f"2001:db8::{n}")

    assert throttle.failed("2001:db8::ffff:1") == 1
    assert throttle.failed("2001:db8:0:1::1") == 0


def test_remembers_so_many_clients_and_no_more() -> None:
    throttle = LoginThrottle(Watch())
    for n in range(MAX_CLIENTS + 100):
        throttle.failed(str(n))

    assert len(throttle._records) == MAX_CLIENTS


def test_a_right_key_is_accepted_while_its_address_is_throttled() -> None:
    gate = Gate()
    gate.add("user")
    gatekeeper = gate.gatekeeper
    for _ in range(FREE_FAILURES):
        with pytest.raises(Unauthorized):
            gatekeeper.log_on("qml_wrong", "192.0.2.1")
    with pytest.raises(TooManyRequests) as braked:
        gatekeeper.log_on("qml_wrong", "192.0.2.1")

    assert braked.value.headers == {"Retry-After": "1"}
    assert gatekeeper.log_on(KEY, "192.0.2.1").username == "user"


def test_the_key_before_is_good_too() -> None:
    gate = Gate()
    gate.add("user")
    fresh = apikey.new_key()
    account = gate.accounts["user"]
    gate.accounts["user"] = type(account)(
        username="user",
        roles=(),
        api_key_sha256=apikey.digest(fresh).removeprefix("sha256:"),
        previous_key_sha256=account.api_key_sha256,
    )

    assert {gate.gatekeeper.log_on(key).username for key in (fresh, KEY)} == {"user"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer a, Bearer b"},
        {"Authorization": "Bearer a,b"},
        {"Authorization": "Basic YTpi, Bearer b"},
        {"X-Auth-Token": "a, b"},
    ],
)
def test_400_for_two_credentials_in_one_place(headers: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        Gate().gatekeeper.identify(headers, "PUT", "/upload/a")


@pytest.mark.parametrize(
    "value", ['Digest username="a", realm="b"', "AWS4-HMAC-SHA256 Credential=a, Signature=b"]
)
def test_401_for_a_credential_of_another_kind(value: str) -> None:
    with pytest.raises(Unauthorized):
        Gate().gatekeeper.identify({"Authorization": value}, "PUT", "/upload/a")
