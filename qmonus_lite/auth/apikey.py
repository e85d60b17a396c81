"""API keys: `qml_` and 32 random bytes; only their SHA-256 is kept.

A fast hash is right for a secret of 256 random bits; slow ones are for words that people choose.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from qmonus_lite.auth.account import Account

PREFIX = "qml_"


def new_key() -> str:
    """A fresh API key, 47 characters."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """What an account plugin keeps of a key: `sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def owner(key: str, accounts: Iterable[Account]) -> Account | None:
    """The account that has this key, or None; takes the same time wherever it stands."""
    wanted = digest(key).removeprefix("sha256:").encode()
    found = None
    for account in accounts:
        for known in (account.api_key_sha256, account.previous_key_sha256):
            if hmac.compare_digest((known or "").encode(), wanted):
                found = account
    return found
