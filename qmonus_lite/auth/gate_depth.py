"""Signed gate depth: how many gates wait for a request, as `callout` sends it to our own APIGWs.

Signed, so that no client can have the uploads of a gate refused by claiming that gates wait for
them. A value is valid as long as a callout pass.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping

from qmonus_lite.auth.callout_pass import TTL_SECONDS, Passes
from qmonus_lite.scripting.context import GATE_DEPTH
from qmonus_lite.values import Value

_SIGNED = re.compile(r"([0-9]{1,3})\.([0-9]{1,12})\.([0-9a-f]{64})")


class GateDepths(Value, frozen=True, kw_only=True):
    """Signs and verifies values of the header `X-Qmonus-Lite-Gate-Depth`."""

    passes: Passes

    def sign(self, depth: int) -> str:
        """The value of the header: depth, end of its validity, and signature."""
        text = f"{depth}.{int(self.passes.minter.clock.now()) + TTL_SECONDS}"
        return f"{text}.{self._signature(text)}"

    def read(self, headers: Mapping[str, str]) -> int:
        """Number of gates that wait for a request; 0 if no valid value says so."""
        found = _SIGNED.fullmatch(headers.get(GATE_DEPTH, ""))
        if found is None:
            return 0
        depth, until, signature = found.groups()
        valid = hmac.compare_digest(signature, self._signature(f"{depth}.{until}"))
        return int(depth) if valid and self.passes.minter.clock.now() < int(until) else 0

    def _signature(self, text: str) -> str:
        return hmac.new(
            self.passes.minter.key, f"gate-depth {text}".encode(), hashlib.sha256
        ).hexdigest()
