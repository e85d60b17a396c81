"""Signed ids of a calling request, as `callout` sends them to our own APIGWs.

So the log records of a request and of what its scripts call have one request id and one trace.
Signed, since a client that chose its id could hide among the log records of another request. A
value is valid as long as a callout pass.
"""

import hashlib
import hmac
import re

from qmonus_lite.auth.callout_pass import TTL_SECONDS, Passes
from qmonus_lite.values import Value

#: In canonical form.
HEADER = "X-Qmonus-Lite-Caller-Ids"

_SIGNED = re.compile(r"(([^;]{1,128});([0-9a-f-]{0,55});([0-9]{1,12}));([0-9a-f]{64})")


class CallerIds(Value, frozen=True, kw_only=True):
    """Signs and verifies values of the header `X-Qmonus-Lite-Caller-Ids`."""

    passes: Passes

    def sign(self, request_id: str, traceparent: str) -> str:
        """The value of the header; `traceparent` may be empty."""
        until = int(self.passes.minter.clock.now()) + TTL_SECONDS
        text = f"{request_id};{traceparent};{until}"
        return f"{text};{self._signature(text)}"

    def headers(self, request_id: str, traceparent: str) -> dict[str, str]:
        """The header, for one request."""
        return {HEADER: self.sign(request_id, traceparent)}

    def read(self, value: str) -> tuple[str, str] | None:
        """Request id and `traceparent` of the caller; None for a value that is not valid."""
        found = _SIGNED.fullmatch(value)
        if found is None:
            return None
        text, request_id, traceparent, until, signature = found.groups()
        valid = hmac.compare_digest(signature, self._signature(text))
        if not valid or self.passes.minter.clock.now() >= int(until):
            return None
        return request_id, traceparent

    def _signature(self, text: str) -> str:
        return hmac.new(
            self.passes.minter.key, f"caller-ids {text}".encode(), hashlib.sha256
        ).hexdigest()
