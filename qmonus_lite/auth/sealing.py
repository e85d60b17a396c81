"""Sealed values: AES-256-GCM, bound to the file name and the key that they stand under.

A sealed text that was moved to another file or key does not open. Form: `v1.` and the base64url of
a 12-byte nonce and the ciphertext.
"""

import base64
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORM = "v1."
_NONCE_BYTES = 12


class CannotOpen(Exception):
    """A sealed text made with another key, for another place, or changed since."""


@dataclass(frozen=True, kw_only=True)
class Sealer:
    """Seals and opens texts with the data directory's key."""

    key: bytes

    def seal(self, text: str, *, place: str) -> str:
        """`text` encrypted for one place (`file name|key`)."""
        nonce = os.urandom(_NONCE_BYTES)
        hidden = AESGCM(self.key).encrypt(nonce, text.encode(), place.encode())
        return _FORM + base64.urlsafe_b64encode(nonce + hidden).decode()

    def open(self, sealed: str, *, place: str) -> str:
        """The text that was sealed for this place; raises CannotOpen."""
        try:
            if not sealed.startswith(_FORM):
                raise ValueError(sealed)
            raw = base64.urlsafe_b64decode(sealed.removeprefix(_FORM))
            return (
                AESGCM(self.key)
                .decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode())
                .decode()
            )
        except (InvalidTag, ValueError):
            raise CannotOpen(place) from None
