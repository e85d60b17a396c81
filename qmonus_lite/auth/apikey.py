"""API keys: `qml_` and 32 random bytes; only their SHA-256 is stored.

A fast hash is sufficient for a secret of 256 random bits; slow hashes are for passwords.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence

from qmonus_lite.auth.account import Account

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


def found_in(text: str) -> list[str]:
    """The API keys in a text, found by their form."""
    return _FORM.findall(text) if PREFIX in text else []


def shown_in(query: Mapping[str, Sequence[str]]) -> bool:
    """Whether a URL query has an API key or credential parameter: URLs end up in logs."""
    return any(
        name.lower() in _HEADERS or any(map(_FORM.search, (name, *values)))
        for name, values in query.items()
    )


def owner(key: str, accounts: Iterable[Account]) -> Account | None:
    """The account with this key, or None; compares in constant time with all accounts."""
    expected = digest(key).removeprefix("sha256:").encode()
    found = None
    for account in accounts:
        for stored in (account.api_key_sha256, account.previous_key_sha256):
            if hmac.compare_digest((stored or "").encode(), expected):
                found = account
    return found
