"""Tokens: for one purpose and some time, and no other way in."""

import base64
import json
import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.auth.tokens import MAX_VERIFIED, BadToken, Minter, TokenNotInTime
from qmonus_lite.clock import Clock

KEY = b"k" * 32
MINTER = Minter(key=KEY, clock=Clock("UTC"))


class LateClock(Clock):
    """A clock that is behind, or ahead."""

    def __init__(self, seconds: float) -> None:
        super().__init__("UTC")
        self.seconds = seconds

    def now(self) -> float:
        return super().now() + self.seconds


def minted(seconds: float = 0, **claims: str) -> str:
    minter = Minter(key=KEY, clock=LateClock(seconds))
    return minter.mint("user", audience="audience", ttl=60, **claims)


def b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_reads_what_it_minted() -> None:
    claims = MINTER.read(minted(htm="PUT"), audience="audience")

    assert (claims["sub"], claims["htm"]) == ("user", "PUT")


@pytest.mark.parametrize("seconds", [-60, -61, -1_000_000])
def test_refuses_a_token_whose_time_is_over(seconds: float) -> None:
    with pytest.raises(BadToken):
        MINTER.read(minted(seconds), audience="audience")


def test_a_token_that_was_good_is_good_for_no_other_purpose() -> None:
    minter = Minter(key=KEY, clock=Clock("UTC"))
    token = minted()
    assert minter.read(token, audience="audience") == minter.read(token, audience="audience")

    with pytest.raises(BadToken):
        minter.read(token, audience="another audience")
    with pytest.raises(BadToken):
        minter.read(token + "x", audience="audience")


def test_a_token_that_was_good_ends_with_its_time() -> None:
    minter = Minter(key=KEY, clock=Clock("UTC"))
    token = minter.mint("user", audience="audience", ttl=2)
    assert minter.read(token, audience="audience")["sub"] == "user"
    time.sleep(2.01)

    with pytest.raises(BadToken):
        minter.read(token, audience="audience")


def test_many_tokens_are_not_all_remembered() -> None:
    minter = Minter(key=KEY, clock=Clock("UTC"))
    for number in range(MAX_VERIFIED + 5):
        minter.read(minted(n=str(number)), audience="audience")

    assert len(minter._verified_claims) <= MAX_VERIFIED


def test_refuses_a_token_from_the_future() -> None:
    with pytest.raises(BadToken):
        MINTER.read(minted(3600), audience="audience")


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_says_both_times_when_the_clocks_differ(seconds: float) -> None:
    clock = LateClock(0)
    minter = Minter(key=KEY, clock=clock)
    token = minter.mint("user", audience="audience", ttl=60)
    clock.seconds = seconds

    with pytest.raises(TokenNotInTime) as refused:
        minter.read(token, audience="audience")
    said = str(refused.value)
    assert f"the clock of this gateway says {clock.moment().isoformat()[:12]}" in said
    assert ("it was issued at" in said) is (seconds < 0)
    assert ("it expired at" in said) is (seconds > 0)
    with pytest.raises(BadToken) as other:
        minter.read(token, audience="another audience")
    assert not isinstance(other.value, TokenNotInTime)


@pytest.mark.parametrize("name", ["exp", "iat"])
@pytest.mark.parametrize("value", ["x", None, [], {}, 10**400, float("nan")])
def test_refuses_times_that_are_none(name: str, value: object) -> None:
    body = {"sub": "user", "aud": "audience", "iat": 0, "exp": 1 << 40} | {name: value}
    token = jwt.encode(body, KEY, algorithm="HS256")

    with pytest.raises(BadToken):
        MINTER.read(token, audience="audience")


def test_refuses_a_token_for_another_purpose() -> None:
    with pytest.raises(BadToken):
        MINTER.read(minted(), audience="another audience")


def test_refuses_a_token_of_another_key() -> None:
    with pytest.raises(BadToken):
        Minter(key=b"x" * 32, clock=Clock("UTC")).read(minted(), audience="audience")


@pytest.mark.parametrize("missing", ["exp", "sub", "aud"])
def test_refuses_a_token_that_lacks_something(missing: str) -> None:
    body = {"sub": "user", "aud": "audience", "exp": 1 << 40}
    del body[missing]

    with pytest.raises(BadToken):
        MINTER.read(jwt.encode(body, KEY, algorithm="HS256"), audience="audience")


@pytest.mark.parametrize("algorithm", ["none", "HS512", "HS384", "nonsense"])
def test_refuses_any_other_algorithm(algorithm: str) -> None:
    body = b64(json.dumps({"sub": "user", "aud": "audience", "exp": 1 << 40}))
    if algorithm.startswith("HS"):
        token = jwt.encode(
            {"sub": "u", "aud": "audience", "exp": 1 << 40}, KEY * 2, algorithm=algorithm
        )
    else:
        token = f"{b64(json.dumps({'alg': algorithm}))}.{body}."

    with pytest.raises(BadToken):
        MINTER.read(token, audience="audience")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "caf\xe9",
        "日本.日本.日本",
        "\udcff",
        b64("{}") + ".e30.",
        b64('{"alg": 5}') + ".e30.",
        b64("[" * 40_000) + ".e30.x",
        b64('{"alg":"HS256","x":' + "[" * 5000) + ".e30.x",
        b64('{"alg":"HS256","crit":["x"]}') + ".e30.x",
        "x" * 100_000,
    ],
)
def test_refuses_nonsense(token: str) -> None:
    with pytest.raises(BadToken):
        MINTER.read(token, audience="audience")


@given(text=st.text(), at=st.integers(0, 200))
def test_refuses_a_token_that_was_touched(text: str, at: int) -> None:
    token = minted()
    # The last characters of a signature hold bits that count for nothing.
    at %= len(token) - 2
    touched = token[:at] + text + token[at + 1 :]

    if touched != token:
        with pytest.raises(BadToken):
            MINTER.read(touched, audience="audience")
