"""API keys: `qml_` and 32 random bytes; only their SHA-256 is stored.

A fast hash is sufficient for a secret of 256 random bits; slow hashes are for passwords.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence

from qmonus_lite.auth.account import Account, Directory

PREFIX = "qml_"
#: The form of an API key.
_FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
#: Headers for credentials; as query parameters of a URL these names are refused.
_HEADERS = frozenset({"x-api-key", "x-auth-token"})

#: Error text for a request with a credential in its query.
SHOWN = "the query has a credential; give it in a header, and get a new one"


def new_key() -> str:
    """A new random API key, 47 characters."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """The hash of a key as stored in an account plugin: `sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def is_key(text: str) -> bool:
    """Whether a text has the form of an API key."""
    return _FORM.fullmatch(text) is not None


def found_in(text: str) -> list[str]:
    """The API keys in a text, found by their form."""
    return _FORM.findall(text) if PREFIX in text else []


def shown_in(query: Mapping[str, Sequence[str]]) -> bool:
    """Whether a URL query has an API key or credential parameter: URLs end up in logs."""
    return any(
        name.lower() in _HEADERS or any(map(_FORM.search, (name, *values)))
        for name, values in query.items()
    )


def owner(key: str, directory: Directory) -> Account | None:
    """The account with this key, or None.

    Looked up by hash, so the time depends neither on the number of accounts nor, in a way that a
    client could use, on the stored keys: it cannot choose a hash that is close to another.
    """
    return directory.key_owners.get(digest(key).removeprefix("sha256:"))
