"""Signatures of messages between APIGW and workers, in the Standard Webhooks form, both ways.

https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp`, `webhook-signature`, where the
signature is `v1,` and the base64 of an HMAC-SHA256 over `id.timestamp.body`; at most five minutes
old. An answer is signed under the id of its question, so it fits no other.
"""

import base64
import hmac
import time
from collections.abc import Mapping

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"

#: Seconds that the clocks of two machines may be apart, a message's way included.
TOLERANCE = 300
#: Digits of a moment that is not too far off to be one.
_DIGITS = 12


class BadSignature(Exception):
    """A message that nobody with our secret signed, or one that is too old."""


class Signer:
    """Signs and verifies with the secret that APIGW and workers share."""

    def __init__(self, secret: bytes) -> None:
        # Copied for each message. hmac.digest() would let other threads run in its middle, however
        # short the message, and wait until they let go of the interpreter again.
        self._keyed = hmac.new(secret, digestmod="sha256")

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
        if abs(time.time() - int(moment)) > TOLERANCE:
            raise BadSignature(f"{TIMESTAMP} is more than {TOLERANCE} s off")
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
        mac = self._keyed.copy()
        mac.update(f"{message_id}.{moment}.".encode())
        mac.update(body)
        return base64.b64encode(mac.digest()).decode()
