"""Limits of one APIGW, and whom it believes about the client."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from qmonus_lite.apigw.body_timeout import BodyRate
from qmonus_lite.settings import Settings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a request may take, and which peers may say for whom they ask."""

    max_uploads: int
    pace: BodyRate
    trusted: tuple[Network, ...]

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The limits that these settings give."""
        return cls(
            max_uploads=settings.max_uploads,
            pace=BodyRate(stall=settings.body_stall_timeout, rate=settings.min_body_rate),
            trusted=tuple(map(ipaddress.ip_network, settings.trusted_proxies)),
        )

    def trusts(self, peer: str) -> bool:
        """Whether this peer is a proxy of ours."""
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.trusted)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client's address: the peer, or whom proxies of ours name in X-Forwarded-For.

        Read from the right, since only what our own proxies appended can be believed. It goes into
        logs and to backends; nobody is let in for an address.
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
        """`https` or `http`, as the client asked."""
        said = forwarded.rpartition(",")[2].strip().lower()
        return said if said in {"http", "https"} and self.trusts(peer) else own
