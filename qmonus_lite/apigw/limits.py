"""Request limits of one APIGW process, and the trusted proxies for forwarded headers."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from qmonus_lite.apigw.body_timeout import BodyRate
from qmonus_lite.settings.server import ServerSettings
from qmonus_lite.settings.uploads import UploadSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Request limits, and the proxies whose X-Forwarded-* headers are trusted."""

    max_uploads: int
    pace: BodyRate
    trusted: tuple[Network, ...]

    @classmethod
    def of(cls, settings: ServerSettings, uploads: UploadSettings) -> "Limits":
        """Limits from the settings."""
        return cls(
            max_uploads=uploads.max_uploads,
            pace=BodyRate(stall=settings.body_stall_timeout, rate=settings.min_body_rate),
            trusted=tuple(map(ipaddress.ip_network, settings.trusted_proxies)),
        )

    def trusts(self, peer: str) -> bool:
        """True if the peer address belongs to a trusted proxy."""
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.trusted)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """Client address: the peer, or the address in X-Forwarded-For of trusted proxies.

        Read from the right, since only entries appended by trusted proxies are reliable. Used in
        logs and for backends; never for authorization.
        """
        named = [part.strip() for part in ",".join(forwarded).split(",") if part.strip()]
        client = peer
        while named and self.trusts(client):
            try:
                client = str(ipaddress.ip_address(named.pop()))
            except ValueError:
                break
        return client

    def scheme(self, peer: str, own: str, forwarded: str) -> str:
        """`https` or `http` as requested; uses `forwarded` only if `peer` is trusted."""
        said = forwarded.rpartition(",")[2].strip().lower()
        return said if said in {"http", "https"} and self.trusts(peer) else own
