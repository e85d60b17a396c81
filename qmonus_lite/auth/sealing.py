"""Sealed values: AES-256-GCM, bound to the file name and the key that they stand under.

A sealed text that was moved to another file or key does not open. Form: `v1.` and the base64url of
a 12-byte nonce and the ciphertext.
"""

import base64
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qmonus_lite.datadir import DataDir

#: The key of Config plugins in the data directory, and the one that a rotation changes over to.
KEY, NEXT_KEY = "config.key", "config.key.next"
_FORM = "v1."
_NONCE_BYTES = 12


class CannotOpen(Exception):
    """A sealed text made with another key, for another place, or changed since."""


@dataclass(frozen=True, kw_only=True)
class Sealer:
    """Seals and opens texts with the data directory's key."""

    key: bytes
    #: Keys to open with besides: what a rotation put in the place of ours, read when it is needed.
    others: Callable[[], Sequence[bytes]] = tuple
    #: Those that opened something: a plugin set in memory is older than the next rotation's keys.
    _met: list[bytes] = field(default_factory=list)

    def seal(self, text: str, *, place: str) -> str:
        """`text` encrypted for one place (`file name|key`)."""
        nonce = os.urandom(_NONCE_BYTES)
        hidden = AESGCM(self.key).encrypt(nonce, text.encode(), place.encode())
        return _FORM + base64.urlsafe_b64encode(nonce + hidden).decode()

    def open(self, sealed: str, *, place: str) -> str:
        """The text that was sealed for this place; raises CannotOpen."""
        for key in (self.key, *self._met):
            with suppress(CannotOpen):
                return _open(key, sealed, place)
        for key in self.others():
            with suppress(CannotOpen):
                text = _open(key, sealed, place)
                self._met.append(key)
                return text
        raise CannotOpen(place)


def sealer_of(data_dir: DataDir) -> Sealer:
    """The sealer of a data directory, also while its key is rotated; raises BadPlace."""
    return Sealer(
        key=data_dir.key(KEY),
        # The next one first: once that is gone, the other has taken its place.
        others=lambda: [key for name in (NEXT_KEY, KEY) for key in data_dir.known_key(name)],
    )


def _open(key: bytes, sealed: str, place: str) -> str:
    try:
        if not sealed.startswith(_FORM):
            raise ValueError(sealed)
        raw = base64.urlsafe_b64decode(sealed.removeprefix(_FORM))
        nonce, hidden = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
        return AESGCM(key).decrypt(nonce, hidden, place.encode()).decode()
    except (InvalidTag, ValueError):
        raise CannotOpen(place) from None
