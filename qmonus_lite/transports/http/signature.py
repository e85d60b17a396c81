"""Signatures of requests and responses between APIGW and workers, as in Standard Webhooks.

https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp`, `webhook-signature`, where the
signature is `v1,` and the base64 of an HMAC-SHA256 over `id.timestamp.body`; at most five minutes
old. A response is signed with the id of its request, so it is invalid for any other request.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"

#: Maximum clock skew between two machines in seconds, including the transmission time.
TOLERANCE_SECONDS = 300
#: Maximum number of digits of a timestamp.
_DIGITS = 12
#: Block size of SHA-256 in bytes.
_BLOCK = 64


class BadSignature(Exception):
    """The signature of a message is missing or invalid, or the message is too old."""


class ClocksDiffer(BadSignature):
    """The signature is valid, but its time is too far from that of this machine."""


class Signer:
    """Signs and verifies messages with the secret shared by APIGW and workers."""

    def __init__(self, secret: bytes, now: Callable[[], float] = time.time) -> None:
        # HMAC (RFC 2104) with precomputed inner and outer hash states, copied for each message: an
        # `hmac` object takes a fifth more time. hmac.digest() releases the GIL even for short
        # messages, and then has to wait to reacquire it.
        self._now = now
        key = secret if len(secret) <= _BLOCK else hashlib.sha256(secret).digest()
        key = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))

    def sign(self, message_id: str, body: bytes) -> dict[str, str]:
        """The signature headers for `body`."""
        moment = str(int(self._now()))
        signature = f"v1,{self._digest(message_id, moment, body)}"
        return {ID: message_id, TIMESTAMP: moment, SIGNATURE: signature}

    def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """Verify a message and return its id; raises BadSignature, and ClocksDiffer."""
        message_id, moment = headers.get(ID, ""), headers.get(TIMESTAMP, "")
        given = headers.get(SIGNATURE, "")
        if not (message_id and moment and given):
            raise BadSignature("a webhook header is missing")
        if not (moment.isascii() and moment.isdigit() and len(moment) <= _DIGITS):
            raise BadSignature(f"{TIMESTAMP} is not a number of seconds")
        try:
            wanted = b"v1," + self._digest(message_id, moment, body).encode()
            signatures = given.encode().split(b" ")
        except UnicodeEncodeError:
            raise BadSignature("a webhook header is no text") from None
        # The header has several signatures during a rotation of the secret.
        if not any(hmac.compare_digest(wanted, signature) for signature in signatures):
            raise BadSignature("no signature fits")
        self._check_time(int(moment))
        return message_id

    def _check_time(self, moment: int) -> None:
        # After the signature, so that a time that is off is one of a peer with the secret.
        ahead = moment - self._now()
        if abs(ahead) > TOLERANCE_SECONDS:
            raise ClocksDiffer(
                f"signed {abs(ahead):.0f} s {'after' if ahead > 0 else 'before'} the time of the"
                f" clock here, more than {TOLERANCE_SECONDS} s: set the clocks of APIGW and worker"
            )

    def _digest(self, message_id: str, moment: str, body: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(f"{message_id}.{moment}.".encode())
        inner.update(body)
        outer.update(inner.digest())
        return base64.b64encode(outer.digest()).decode()
