"""Text and asyncio helpers of Qmonus scripts: random keys, encryption, query strings, `multi`."""

import asyncio
import base64
import secrets
import string
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.scripting.builtins.raising import Error

if TYPE_CHECKING:
    from cryptography import fernet
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf import hkdf
else:
    fernet = ImportedOnUse("cryptography.fernet")
    hashes = ImportedOnUse("cryptography.hazmat.primitives.hashes")
    hkdf = ImportedOnUse("cryptography.hazmat.primitives.kdf.hkdf")

_ALPHABET = string.ascii_letters + string.digits


def genkey(length: int = 64, continuity: int = 3, exclude: str | None = None) -> str:
    """Random letters and digits; no character more than `continuity` times in a row.

    `exclude` lists characters to omit. Raises ValueError when too few are left.
    """
    pool = [char for char in _ALPHABET if char not in (exclude or "")]
    if len(pool) < 2 or continuity < 1:
        raise ValueError("genkey needs two characters to choose from and a continuity from 1")
    key: list[str] = []
    while len(key) < length:
        char = secrets.choice(pool)
        if key[-continuity:] != [char] * continuity:
            key.append(char)
    return "".join(key)


def _cipher(key: str) -> "fernet.Fernet":
    kdf = hkdf.HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"qmonus_lite encrypt")
    return fernet.Fernet(base64.urlsafe_b64encode(kdf.derive(key.encode())))


def encrypt(key: str, origin: str) -> str:
    """`origin` encrypted and authenticated (Fernet); `key` is one of genkey, not a password."""
    return _cipher(key).encrypt(origin.encode()).decode()


def decrypt(key: str, origin: str) -> str:
    """What `encrypt` hid; raises Error(400) for another key or a changed text."""
    try:
        return _cipher(key).decrypt(origin.encode()).decode()
    except fernet.InvalidToken:
        raise Error(400, "decrypt: another key, or not a text of encrypt") from None


def queryjoin(origin: str, **kwargs: Any) -> str:
    """`origin` with the arguments added to its query; a list gives its name several times."""
    added = urlencode(kwargs, doseq=True)
    if not added:
        return origin
    base, mark, fragment = origin.partition("#")
    joint = "" if base.endswith(("?", "&")) else "&" if "?" in base else "?"
    return f"{base}{joint}{added}{mark}{fragment}"


async def multi(coroutines: Iterable[Awaitable[Any]] = ()) -> list[Any]:
    """Await all at once; results in the order given, the first exception raised."""
    return list(await asyncio.gather(*coroutines))
