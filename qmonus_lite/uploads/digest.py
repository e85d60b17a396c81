"""Digest fields: verify the digests a client sends, compute the wanted one (RFC 9530)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from qmonus_lite.errors import (
    InvalidDigest,
    Unprocessable,
)
from qmonus_lite.headers import Headers, canonical
from qmonus_lite.uploads.structured_fields import parse_dictionary

#: Supported algorithms, by their name in the fields; others in a field are ignored.
ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
#: Request header fields that are read.
FIELDS = {"Repr-Digest", "Content-Digest", "Content-MD5", "Want-Repr-Digest"}
_FIELD_NAMES = frozenset(map(canonical, FIELDS))
#: Length of each digest in bytes.
_BYTES = {"sha-256": 32, "sha-512": 64, "md5": 16}


class Digests:
    """The digests of one upload; nothing is hashed unless the client sent or wants a digest."""

    def __init__(self, expected: Mapping[tuple[str, str], bytes], wish: str | None) -> None:
        #: Expected digests by field and algorithm.
        self._expected = dict(expected)
        self._wish = wish
        names = {name for _, name in expected} | ({wish} if wish else set())
        self._hashes = {name: _start(name) for name in names}

    @classmethod
    def read(cls, headers: Headers) -> "Digests":
        """The digests in these headers; raises InvalidDigest for a malformed digest."""
        if _FIELD_NAMES.isdisjoint(headers):
            return NO_DIGESTS
        expected = {
            (field, name): digest
            for field in ("Repr-Digest", "Content-Digest")
            if field in headers
            for name, digest in _digests(field, headers[field]).items()
        }
        if "Content-MD5" in headers:
            expected["Content-MD5", "md5"] = _md5(headers["Content-MD5"])
        return cls(expected, _wish(headers.get("Want-Repr-Digest", "")))

    @property
    def wanted(self) -> bool:
        """Whether anything is hashed."""
        return bool(self._hashes)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Hash the next bytes of the file; blocks for as long as that takes."""
        for hash_ in self._hashes.values():
            hash_.update(data)

    def reset(self) -> None:
        """Forget the bytes hashed so far."""
        self._hashes = {name: _start(name) for name in self._hashes}

    def check(self) -> None:
        """Compare the digests of the complete file; raises Unprocessable on a mismatch."""
        for (field, name), digest in self._expected.items():
            if not hmac.compare_digest(self._hashes[name].digest(), digest):
                raise Unprocessable(f"the body does not have the {name} digest of {field}")

    @property
    def field(self) -> str | None:
        """The value of Repr-Digest in the response, if the client wanted one."""
        if self._wish is None:
            return None
        return f"{self._wish}=:{base64.b64encode(self._hashes[self._wish].digest()).decode()}:"

    @property
    def computed(self) -> str:
        """The digests of the bytes so far, in hexadecimal digits: `sha-256=…, md5=…`."""
        return ", ".join(f"{name}={hash_.hexdigest()}" for name, hash_ in self._hashes.items())

    @property
    def sha256(self) -> str | None:
        """SHA-256 in hexadecimal digits, if the client wanted it."""
        return self._hashes[self._wish].hexdigest() if self._wish == "sha-256" else None


#: Shared instance for requests without digest fields; it has no mutable state.
NO_DIGESTS = Digests({}, None)


def _start(name: str) -> "hashlib._Hash":
    if name == "md5":
        # Content-MD5 detects accidental corruption only; it is not used for security.
        return hashlib.md5(usedforsecurity=False)
    return ALGORITHMS[name]()


def _digests(field: str, text: str) -> dict[str, bytes]:
    """The digests of a field by supported algorithm; other members and parameters are ignored."""
    try:
        members = parse_dictionary(text)
    except ValueError:
        raise InvalidDigest(f"{field} is not of the form sha-256=:BASE64:") from None
    found = {}
    for name in ALGORITHMS.keys() & members:
        digest = members[name]
        if not isinstance(digest, bytes):
            raise InvalidDigest(f"{field} is not of the form {name}=:BASE64:")
        found[name] = _checked(field, name, digest)
    return found


def _md5(text: str) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    return _checked("Content-MD5", "md5", digest)


def _checked(field: str, name: str, digest: bytes) -> bytes:
    if len(digest) != _BYTES[name]:
        raise InvalidDigest(f"{field} has no {_BYTES[name]} bytes of {name} in base64")
    return digest


def _wish(text: str) -> str | None:
    """The supported algorithm of highest preference; an invalid Want-Repr-Digest is ignored."""
    try:
        members = parse_dictionary(text)
    except ValueError:
        return None
    liked = {name: value for name, value in members.items() if isinstance(value, int)}
    known = [name for name in ALGORITHMS if 0 < liked.get(name, 0) <= 10]
    return max(known, key=lambda name: liked[name], default=None)
