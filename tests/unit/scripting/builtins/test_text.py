"""Keys, secrets, queries, and many awaitables at once."""

import asyncio
from itertools import groupby
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.scripting.builtins.raising import Error
from qmonus_lite.scripting.builtins.text import decrypt, encrypt, genkey, multi, queryjoin

NAMES = st.from_regex(r"[a-z]{1,5}", fullmatch=True)


@given(length=st.integers(0, 200), continuity=st.integers(1, 4), exclude=st.text("abcXYZ019"))
def test_makes_keys_as_long_and_as_varied_as_asked(
    length: int, continuity: int, exclude: str
) -> None:
    key = genkey(length, continuity, exclude)

    assert len(key) == length
    assert key == "" or key.isalnum() and key.isascii()
    assert not set(key) & set(exclude)
    assert all(len(list(run)) <= continuity for _, run in groupby(key))


def test_makes_a_key_of_64_by_default() -> None:
    assert len(genkey()) == 64
    assert genkey() != genkey()


@pytest.mark.parametrize(
    ("continuity", "exclude"),
    [(0, None), (3, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ012345678")],
)
def test_refuses_a_key_that_cannot_be_made(continuity: int, exclude: str | None) -> None:
    with pytest.raises(ValueError, match="two characters"):
        genkey(4, continuity, exclude)


@given(st.text())
def test_decrypts_what_it_encrypted(text: str) -> None:
    key = genkey()

    assert decrypt(key, encrypt(key, text)) == text


def test_hides_the_text_and_hides_it_differently_each_time() -> None:
    key = genkey()
    first, second = encrypt(key, "secret"), encrypt(key, "secret")

    assert "secret" not in first
    assert first != second


@pytest.mark.parametrize("change", ["other key", "changed", "cut", "no token", "not ascii"])
def test_opens_nothing_else(change: str) -> None:
    key = genkey()
    hidden = encrypt(key, "secret")
    tried = {
        "other key": (genkey(), hidden),
        "changed": (key, hidden[:-4] + "AAAA"),
        "cut": (key, hidden[:20]),
        "no token": (key, "secret"),
        "not ascii": (key, "日本"),
    }[change]

    with pytest.raises(Error) as caught:
        decrypt(*tried)
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("origin", "joined"),
    [
        ("/x", "/x?a=1&b=2&b=3&c=%E6%97%A5"),
        ("/x?", "/x?a=1&b=2&b=3&c=%E6%97%A5"),
        ("/x?z=0", "/x?z=0&a=1&b=2&b=3&c=%E6%97%A5"),
        ("/x?z=0&", "/x?z=0&a=1&b=2&b=3&c=%E6%97%A5"),
        ("/x#part", "/x?a=1&b=2&b=3&c=%E6%97%A5#part"),
    ],
)
def test_adds_to_a_query(origin: str, joined: str) -> None:
    assert queryjoin(origin, a=1, b=[2, 3], c="日") == joined


def test_leaves_a_url_alone_when_there_is_nothing_to_add() -> None:
    assert queryjoin("http://h/x?a=b#c") == "http://h/x?a=b#c"


@given(st.dictionaries(NAMES, st.text(), min_size=1))
def test_a_joined_query_reads_back(values: dict[str, str]) -> None:
    query = urlsplit(queryjoin("http://h/x", **values)).query

    assert parse_qs(query, keep_blank_values=True) == {k: [v] for k, v in values.items()}


async def test_awaits_many_at_once_in_order() -> None:
    assert await multi([asyncio.sleep(0.02, "slow"), asyncio.sleep(0, "quick")]) == [
        "slow",
        "quick",
    ]
    assert await multi() == []


async def test_raises_the_first_that_many_raise() -> None:
    async def fail() -> None:
        raise Error(404, "gone")

    with pytest.raises(Error, match="404 gone"):
        await multi([asyncio.sleep(0), fail()])
