"""Signatures of messages between APIGW and workers, in the Standard Webhooks form, both ways.

https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp`, `webhook-signature`; at most
five minutes old. An answer is signed under the id of its question, so it fits no other.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from standardwebhooks import Webhook, WebhookVerificationError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


class BadSignature(Exception):
    """A message that nobody with our secret signed, or one that is too old."""


class Signer:
    """Signs and verifies with the secret that APIGW and workers share."""

    def __init__(self, secret: bytes) -> None:
        self._webhook = Webhook(secret)

    def sign(self, message_id: str, body: bytes) -> dict[str, str]:
        """The headers that go with `body`."""
        now = datetime.now(UTC)
        return {
            ID: message_id,
            TIMESTAMP: str(int(now.timestamp())),
            SIGNATURE: self._webhook.sign(message_id, now, body.decode()),
        }

    def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """The id of a message that is truly ours; raises BadSignature."""
        wanted = {name: headers.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE)}
        try:
            self._webhook.verify(body, wanted, json_parse=False)
        except (WebhookVerificationError, ValueError) as error:
            # ValueError: what the library lets through for malformed base64 and UTF-8.
            raise BadSignature(str(error)) from None
        return wanted[ID]
