"""Sealed (encrypted) values: AES-256-GCM, with file name and value path as associated data.

A sealed text that was moved to another file or path cannot be opened. Format: `v1.` and the
base64url of a 12-byte nonce and the ciphertext.
"""

import base64
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from qmonus_lite.datadir import DataDir, read_key
from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.values import Value, field

if TYPE_CHECKING:
    from cryptography import exceptions
    from cryptography.hazmat.primitives.ciphers import aead
else:
    exceptions = ImportedOnUse("cryptography.exceptions")
    aead = ImportedOnUse("cryptography.hazmat.primitives.ciphers.aead")

#: Names in the data directory of the key of Config plugins, and of the new key in a rotation.
KEY, NEXT_KEY = "config.key", "config.key.next"
_FORM = "v1."
_NONCE_BYTES = 12


class CannotOpen(Exception):
    """A sealed text made with another key, for another location, or altered."""


class Opener(Value, frozen=True, kw_only=True):
    """Decrypts texts with the keys of a data directory."""

    #: Returns the keys to try when none of `_keys` fits.
    others: Callable[[], Sequence[bytes]] = tuple
    #: Keys that opened a value: a loaded plugin set may outlive the files of these keys.
    _keys: list[bytes] = field(default_factory=list)

    def open(self, sealed: str, *, location: str) -> str:
        """The decrypted text that was sealed for this location; raises CannotOpen."""
        for key in self._keys:
            with suppress(CannotOpen):
                return _open(key, sealed, location)
        for key in self.others():
            with suppress(CannotOpen):
                text = _open(key, sealed, location)
                self._keys.append(key)
                return text
        raise CannotOpen(location)


class Sealer(Opener, frozen=True, kw_only=True):
    """Encrypts as well, with the key of a data directory; `others` are those of a rotation."""

    key: bytes

    def __post_init__(self) -> None:
        self._keys.append(self.key)

    def seal(self, text: str, *, location: str) -> str:
        """`text` encrypted for `location` (`file name|value path`)."""
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = aead.AESGCM(self.key).encrypt(nonce, text.encode(), location.encode())
        return _FORM + base64.urlsafe_b64encode(nonce + ciphertext).decode()


def opener_of(directory: Path) -> Opener:
    """The opener of a data directory; makes nothing, and opens nothing where there is no key.

    Opening raises BadResource for a key file that cannot be read.
    """
    paths = [directory / name for name in (NEXT_KEY, KEY)]
    return Opener(others=lambda: [key for path in paths if (key := read_key(path)) is not None])


def sealer_of(data_dir: DataDir) -> Sealer:
    """The sealer of a data directory; also works during a key rotation. Raises BadResource."""
    return Sealer(
        key=data_dir.key(KEY),
        # The next key first: if its file is gone, it was renamed to KEY, which is read after it.
        others=lambda: [key for name in (NEXT_KEY, KEY) for key in data_dir.known_key(name)],
    )


def _open(key: bytes, sealed: str, location: str) -> str:
    try:
        if not sealed.startswith(_FORM):
            raise ValueError(sealed)
        raw = base64.urlsafe_b64decode(sealed.removeprefix(_FORM))
        nonce, ciphertext = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
        return aead.AESGCM(key).decrypt(nonce, ciphertext, location.encode()).decode()
    except (exceptions.InvalidTag, ValueError):
        raise CannotOpen(location) from None
