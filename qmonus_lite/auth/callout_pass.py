"""Callout passes: signed credentials with which `callout` may call an APIGW of this installation.

A pass is valid for one address, method and path, for one minute. It is signed with a key that
APIGW and workers share, and issued only for addresses that signed messages named as APIGWs of
this installation, so it is never sent anywhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qmonus_lite.auth.tokens import BadToken, Minter

HEADER = "X-Qmonus-Lite-Pass"
#: Token subject, and actor name of a request with a pass.
SUBJECT = "callout"
#: Lifetime of a pass in seconds: a request that takes longer to arrive has timed out anyway.
TTL_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Issues and verifies passes."""

    minter: Minter
    #: Scheme by `host:port` of each known APIGW of this installation.
    gateways: dict[str, str] = field(default_factory=dict)

    def know(self, endpoint: str) -> None:
        """Register `http(s)://host:port` as an APIGW of this installation."""
        scheme, _, place = endpoint.partition("://")
        self.gateways[place] = scheme

    def scheme(self, place: str) -> str | None:
        """The scheme of a registered APIGW, or None for any other `host:port`."""
        return self.gateways.get(place)

    def issue(self, place: str, method: str, path: str) -> dict[str, str]:
        """The pass header for one request."""
        return {
            HEADER: self.minter.mint(SUBJECT, audience=place, ttl=TTL_SECONDS, htm=method, htu=path)
        }

    def admits(self, value: str, place: str, method: str, path: str) -> bool:
        """Whether this header value is a valid pass for this request to the APIGW at `place`."""
        try:
            claims: Mapping[str, str] = self.minter.read(value, audience=place)
        except BadToken:
            return False
        return claims.get("htm") == method and claims.get("htu") == path
