"""API keys: `qml_` and 32 random bytes; only their SHA-256 is kept.

A fast hash is right for a secret of 256 random bits; slow ones are for words that people choose.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence

from qmonus_lite.auth.account import Account

PREFIX = "qml_"
#: The form of every key of ours.
_FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
#: Headers that carry credentials, and mean nothing in the query of an address.
_HEADERS = frozenset({"x-api-key", "x-auth-token"})

#: What is said to those who put a credential in an address.
SHOWN = "the query has a credential; give it in a header, and get a new one"


def new_key() -> str:
    """A fresh API key, 47 characters."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """What an account plugin keeps of a key: `sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def found_in(text: str) -> list[str]:
    """The keys of our form in a text."""
    return _FORM.findall(text) if PREFIX in text else []


def shown_in(query: Mapping[str, Sequence[str]]) -> bool:
    """Whether the arguments of an address show a credential of ours: addresses are written down."""
    return any(
        name.lower() in _HEADERS or any(map(_FORM.search, (name, *values)))
        for name, values in query.items()
    )


def owner(key: str, accounts: Iterable[Account]) -> Account | None:
    """The account that has this key, or None; takes the same time wherever it stands."""
    wanted = digest(key).removeprefix("sha256:").encode()
    found = None
    for account in accounts:
        for known in (account.api_key_sha256, account.previous_key_sha256):
            if hmac.compare_digest((known or "").encode(), wanted):
                found = account
    return found
