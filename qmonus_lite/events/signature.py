"""Signatures of messages between APIGW and workers, in the Standard Webhooks form, both ways.

https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp`, `webhook-signature`, where the
signature is `v1,` and the base64 of an HMAC-SHA256 over `id.timestamp.body`; at most five minutes
old. An answer is signed under the id of its question, so it fits no other.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"

#: Seconds that the clocks of two machines may be apart, a message's way included.
TOLERANCE_SECONDS = 300
#: Digits of a moment that is not too far off to be one.
_DIGITS = 12
#: Bytes of a block of SHA-256.
_BLOCK = 64


class BadSignature(Exception):
    """A message that nobody with our secret signed, or one that is too old."""


class Signer:
    """Signs and verifies with the secret that APIGW and workers share."""

    def __init__(self, secret: bytes) -> None:
        # HMAC (RFC 2104) with both hashes begun, which are copied for each message: an object of
        # `hmac` takes a fifth more. hmac.digest() would let other threads run in its middle,
        # however short the message, and wait until they let go of the interpreter again.
        key = secret if len(secret) <= _BLOCK else hashlib.sha256(secret).digest()
        key = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))

    def sign(self, message_id: str, body: bytes) -> dict[str, str]:
        """The headers that go with `body`."""
        moment = str(int(time.time()))
        signature = f"v1,{self._digest(message_id, moment, body)}"
        return {ID: message_id, TIMESTAMP: moment, SIGNATURE: signature}

    def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """The id of a message that is truly ours; raises BadSignature."""
        message_id, moment = headers.get(ID, ""), headers.get(TIMESTAMP, "")
        given = headers.get(SIGNATURE, "")
        if not (message_id and moment and given):
            raise BadSignature("a webhook header is missing")
        if not (moment.isascii() and moment.isdigit() and len(moment) <= _DIGITS):
            raise BadSignature(f"{TIMESTAMP} is no moment")
        if abs(time.time() - int(moment)) > TOLERANCE_SECONDS:
            raise BadSignature(f"{TIMESTAMP} is more than {TOLERANCE_SECONDS} s off")
        try:
            wanted = b"v1," + self._digest(message_id, moment, body).encode()
            signatures = given.encode().split(b" ")
        except UnicodeEncodeError:
            raise BadSignature("a webhook header is no text") from None
        # Several stand there while a secret is being changed.
        if not any(hmac.compare_digest(wanted, one) for one in signatures):
            raise BadSignature("no signature fits")
        return message_id

    def _digest(self, message_id: str, moment: str, body: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(f"{message_id}.{moment}.".encode())
        inner.update(body)
        outer.update(inner.digest())
        return base64.b64encode(outer.digest()).decode()
