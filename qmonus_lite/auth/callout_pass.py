"""The pass that lets `callout` into our own APIGW: one address, one method, one path, one minute.

Signed with a key that APIGW and its workers share. It is made only for addresses that signed
messages named as our own APIGWs, so it is never sent anywhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qmonus_lite.auth.tokens import BadToken, Minter

HEADER = "X-Qmonus-Lite-Pass"
#: Who a request with a pass comes from.
SUBJECT = "callout"
#: Seconds that a pass is good for: a request that takes longer to arrive is lost anyway.
TTL_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Issues and checks passes."""

    minter: Minter
    #: Scheme by `host:port` of every APIGW known to be ours.
    gateways: dict[str, str] = field(default_factory=dict)

    def know(self, endpoint: str) -> None:
        """Remember `http(s)://host:port` as one of our own APIGWs."""
        scheme, _, place = endpoint.partition("://")
        self.gateways[place] = scheme

    def scheme(self, place: str) -> str | None:
        """The scheme of an own APIGW, or None for a place that is not ours."""
        return self.gateways.get(place)

    def issue(self, place: str, method: str, path: str) -> dict[str, str]:
        """The header that lets one request in."""
        return {
            HEADER: self.minter.mint(SUBJECT, audience=place, ttl=TTL_SECONDS, htm=method, htu=path)
        }

    def admits(self, value: str, place: str, method: str, path: str) -> bool:
        """Whether this header lets this request into the APIGW at `place`."""
        try:
            claims: Mapping[str, str] = self.minter.read(value, audience=place)
        except BadToken:
            return False
        return claims.get("htm") == method and claims.get("htu") == path
