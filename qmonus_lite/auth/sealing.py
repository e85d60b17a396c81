"""Sealed (encrypted) values: AES-256-GCM, with file name and value path as associated data.

A sealed text that was moved to another file or path cannot be opened. Format: `v1.` and the
base64url of a 12-byte nonce and the ciphertext.
"""

import base64
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qmonus_lite.datadir import DataDir

#: Names in the data directory of the key of Config plugins, and of the new key in a rotation.
KEY, NEXT_KEY = "config.key", "config.key.next"
_FORM = "v1."
_NONCE_BYTES = 12


class CannotOpen(Exception):
    """A sealed text made with another key, for another location, or altered."""


@dataclass(frozen=True, kw_only=True)
class Sealer:
    """Encrypts and decrypts texts with the data directory's key."""

    key: bytes
    #: Returns further keys for opening: those of a rotation, read only when `key` does not fit.
    others: Callable[[], Sequence[bytes]] = tuple
    #: Further keys that opened a value: a loaded plugin set may outlive the files of these keys.
    _used_others: list[bytes] = field(default_factory=list)

    def seal(self, text: str, *, location: str) -> str:
        """`text` encrypted for `location` (`file name|value path`)."""
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = AESGCM(self.key).encrypt(nonce, text.encode(), location.encode())
        return _FORM + base64.urlsafe_b64encode(nonce + ciphertext).decode()

    def open(self, sealed: str, *, location: str) -> str:
        """The decrypted text that was sealed for this location; raises CannotOpen."""
        for key in (self.key, *self._used_others):
            with suppress(CannotOpen):
                return _open(key, sealed, location)
        for key in self.others():
            with suppress(CannotOpen):
                text = _open(key, sealed, location)
                self._used_others.append(key)
                return text
        raise CannotOpen(location)


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
        return AESGCM(key).decrypt(nonce, ciphertext, location.encode()).decode()
    except (InvalidTag, ValueError):
        raise CannotOpen(location) from None
