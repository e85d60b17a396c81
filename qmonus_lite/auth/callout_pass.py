"""Callout passes: signed credentials with which `callout` may call an APIGW of this installation.

A pass is valid for one address, method and path, for one minute. It is signed with a key that
APIGW and workers share, and issued only for addresses that signed messages named as APIGWs of
this installation, so it is never sent anywhere else.
"""

from collections.abc import Mapping

from qmonus_lite.auth.tokens import BadToken, Minter, TokenNotInTime
from qmonus_lite.values import Value, field

HEADER = "X-Qmonus-Lite-Pass"
#: Token subject, and actor name of a request with a pass.
SUBJECT = "callout"
#: Lifetime of a pass in seconds: a request that takes longer to arrive has timed out anyway.
TTL_SECONDS = 60


class Passes(Value, frozen=True, kw_only=True):
    """Issues and verifies passes."""

    minter: Minter
    #: Scheme by `host:port` of each known APIGW of this installation.
    gateways: dict[str, str] = field(default_factory=dict)

    def know(self, endpoint: str) -> None:
        """Register `http(s)://host:port` as an APIGW of this installation."""
        scheme, _, host_port = endpoint.partition("://")
        self.gateways[host_port] = scheme

    def scheme(self, host_port: str) -> str | None:
        """The scheme of a registered APIGW, or None for any other `host:port`."""
        return self.gateways.get(host_port)

    def issue(self, host_port: str, method: str, path: str) -> dict[str, str]:
        """The pass header for one request."""
        return {
            HEADER: self.minter.mint(
                SUBJECT, audience=host_port, ttl=TTL_SECONDS, htm=method, htu=path
            )
        }

    def admits(self, value: str, host_port: str, method: str, path: str) -> bool:
        """Whether this value is a valid pass for this request to the APIGW at `host_port`."""
        try:
            claims: Mapping[str, str] = self.minter.read(value, audience=host_port)
        except BadToken:
            return False
        return claims.get("htm") == method and claims.get("htu") == path

    def refusal(self, value: str, host_port: str) -> str:
        """Why a value is not admitted, for the sender."""
        try:
            self.minter.read(value, audience=host_port)
        except TokenNotInTime as error:
            return f"the pass of this callout is not valid now: {error}"
        except BadToken:
            pass
        return "the pass of this callout is not for this request"
