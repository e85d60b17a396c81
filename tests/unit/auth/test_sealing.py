"""Sealing: opens with the same key and at the same place only."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.auth.sealing import CannotOpen, Sealer

SEALER = Sealer(key=b"s" * 32)
LOCATION = "handson.yml|aws.secret"


@given(text=st.text(), location=st.text())
def test_opens_what_it_sealed_for_the_location(text: str, location: str) -> None:
    assert SEALER.open(SEALER.seal(text, location=location), location=location) == text


def test_shows_nothing_of_the_text_and_seals_differently_each_time() -> None:
    first, second = (SEALER.seal("secret", location=LOCATION) for _ in range(2))

    assert first != second
    assert "secret" not in base64.urlsafe_b64decode(first.removeprefix("v1.")).decode("latin-1")


@pytest.mark.parametrize(
    "location",
    ["other.yml|aws.secret", "handson.yml|aws.key", "handson.yml|aws", "", LOCATION + " "],
)
def test_does_not_open_elsewhere(location: str) -> None:
    with pytest.raises(CannotOpen):
        SEALER.open(SEALER.seal("secret", location=LOCATION), location=location)


def test_does_not_open_with_another_key() -> None:
    with pytest.raises(CannotOpen):
        Sealer(key=b"x" * 32).open(SEALER.seal("secret", location=LOCATION), location=LOCATION)


@given(st.integers(0, 60), st.integers(1, 255))
def test_does_not_open_when_a_bit_changed(at: int, change: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(SEALER.seal("secret" * 6, location=LOCATION)[3:]))
    raw[at] ^= change

    with pytest.raises(CannotOpen):
        SEALER.open("v1." + base64.urlsafe_b64encode(raw).decode(), location=LOCATION)


@pytest.mark.parametrize(
    "sealed", ["", "v1.", "v1.AAAA", "v2.AAAA", "secret", "v1.é", "v1.A", "v1." + "A" * 16]
)
def test_does_not_open_what_was_never_sealed(sealed: str) -> None:
    with pytest.raises(CannotOpen):
        SEALER.open(sealed, location=LOCATION)


@given(st.text())
def test_any_text_may_be_tried(sealed: str) -> None:
    with pytest.raises(CannotOpen):
        SEALER.open(sealed, location=LOCATION)


def test_says_the_place_and_never_the_text() -> None:
    with pytest.raises(CannotOpen) as caught:
        SEALER.open("v1.looks-like-a-secret", location=LOCATION)

    assert str(caught.value) == LOCATION


def test_keeps_the_further_keys_that_opened_a_value() -> None:
    there = [b"2" * 32]
    sealer = Sealer(key=b"1" * 32, others=lambda: there)
    sealed = Sealer(key=b"2" * 32).seal("text", location="a|b")
    assert sealer.open(sealed, location="a|b") == "text"
    there[:] = [b"3" * 32]

    assert sealer.open(sealed, location="a|b") == "text"
    newest = Sealer(key=b"3" * 32).seal("newest", location="a|b")
    assert sealer.open(newest, location="a|b") == "newest"
    with pytest.raises(CannotOpen):
        sealer.open(newest, location="a|c")
