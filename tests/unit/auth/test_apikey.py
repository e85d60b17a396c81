"""API keys."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.auth.account import Account, Directory
from qmonus_lite.auth.apikey import digest, new_key, owner, shown_in

#: The same in every process of a run, since it stands in the names of tests.
KEY = "qml_" + "aZ0-_" * 8 + "xyz"


def account(name: str, key: str | None) -> Account:
    hashed = None if key is None else digest(key).removeprefix("sha256:")
    return Account(username=name, roles=(), api_key_sha256=hashed)


def directory(*accounts: Account) -> Directory:
    return Directory(accounts={entry.username: entry for entry in accounts}, roles={})


def test_a_key_is_long_random_and_knows_its_kind() -> None:
    assert re.fullmatch(r"qml_[A-Za-z0-9_-]{43}", new_key())
    assert new_key() != new_key()


def test_only_a_digest_is_kept() -> None:
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest(new_key()))


def test_finds_the_owner_of_a_key() -> None:
    key = new_key()
    accounts = [account("a", new_key()), account("b", key), account("c", None)]

    found = owner(key, directory(*accounts))
    assert found is not None and found.username == "b"


@pytest.mark.parametrize(
    "change", [lambda k: k[:-1], lambda k: k + "x", lambda k: k.upper(), lambda _: ""]
)
def test_a_key_that_is_a_little_off_has_no_owner(change: Callable[[str], str]) -> None:
    key = new_key()

    assert owner(change(key), directory(account("a", key), account("b", None))) is None


def test_the_digest_is_no_key() -> None:
    owned = account("a", new_key())

    assert owner(owned.api_key_sha256 or "", directory(owned)) is None


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_may_be_tried(key: str) -> None:
    assert owner(key, directory(account("a", "qml_right"), account("b", None))) is None


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("x", KEY, True),
        ("x", f"Bearer {KEY}", True),
        (KEY, "", True),
        ("X-API-KEY", "", True),
        ("x-auth-token", "anything", True),
        ("x", KEY[:-1], False),
        ("x", KEY[1:], False),
        ("token", "eyJhbGciOiJIUzI1NiJ9.e30.x", False),
        ("folder", "pets", False),
    ],
)
def test_knows_a_credential_in_an_address(name: str, value: str, shown: bool) -> None:
    assert shown_in({"a": ["b"], name: ["c", value]}) is shown
