"""Bodies in memory: each of them is bounded, and all of them together."""

import pytest

from qmonus_lite.errors import TooLarge, Unavailable
from qmonus_lite.http.body_memory import MAX_BODY, UNCOUNTED, BodyMemory, BufferedBytes

BEGINNING = b"a" * UNCOUNTED


def test_gathers_what_came() -> None:
    body = BufferedBytes(BodyMemory(MAX_BODY))
    pieces = [b"one", BEGINNING, b"", b"two" * 1000, b"x" * 100_000]
    for piece in pieces:
        body.add(piece)

    assert body.take() == b"".join(pieces)
    assert BufferedBytes(BodyMemory(0)).take() == b""


def test_a_body_may_be_as_long_as_the_bound_and_no_longer() -> None:
    body = BufferedBytes(BodyMemory(MAX_BODY))
    body.add(b"x" * (MAX_BODY - 1))
    body.add(b"y")

    with pytest.raises(TooLarge):
        body.add(b"z")
    assert len(body.take()) == MAX_BODY


def test_all_together_are_bounded_and_small_ones_always_have_room() -> None:
    bodies = BodyMemory(1000)
    first, second = BufferedBytes(bodies), BufferedBytes(bodies)
    first.add(BEGINNING + b"x" * 1000)
    second.add(BEGINNING)
    with pytest.raises(Unavailable) as refused:
        second.add(b"y")

    assert refused.value.headers == {"Retry-After": "1"}
    first.take()
    # Whoever took it still has it.
    with pytest.raises(Unavailable):
        second.add(b"y")
    first.release()
    first.release()
    second.add(b"y" * 1000)
    with pytest.raises(Unavailable):
        second.add(b"z")
    assert second.take() == BEGINNING + b"y" * 1000
