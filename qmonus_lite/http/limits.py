"""Limits on requests, and the trusted proxies for forwarded headers."""

import ipaddress
from collections.abc import Sequence

from qmonus_lite.errors import Unavailable
from qmonus_lite.values import Value

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ConcurrencyLimit:
    """At most `maximum` holders at once; `with limit:` raises a problem if there are as many."""

    __slots__ = ("_detail", "_maximum", "_refused", "active")

    def __init__(self, maximum: int, refused: type[Unavailable], detail: str) -> None:
        """`refused` is the problem of a refusal, and `detail` its text."""
        self._maximum = maximum
        self._refused = refused
        self._detail = detail
        self.active = 0

    def check(self) -> None:
        """Raise the problem if there are as many holders as there may be."""
        if self.active >= self._maximum:
            raise self._refused(self._detail)

    def __enter__(self) -> None:
        self.check()
        self.active += 1

    def __exit__(self, *_error: object) -> None:
        self.active -= 1


class TrustedProxies(Value, frozen=True, kw_only=True):
    """The proxies whose X-Forwarded-* headers are trusted."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, networks: Sequence[str]) -> "TrustedProxies":
        """From addresses and networks in text form; raises ValueError."""
        return cls(networks=tuple(map(ipaddress.ip_network, networks)))

    def trusts(self, peer: str) -> bool:
        """True if the peer address belongs to a trusted proxy."""
        if not self.networks:
            return False
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.networks)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """Client address: the peer, or the address in X-Forwarded-For of trusted proxies.

        Read from the right, since only entries appended by trusted proxies are reliable. Used in
        logs and for backends; never for authorization.
        """
        if not forwarded:
            return peer
        named = [part.strip() for part in ",".join(forwarded).split(",") if part.strip()]
        client = peer
        while named and self.trusts(client):
            try:
                client = str(ipaddress.ip_address(named.pop()))
            except ValueError:
                break
        return client

    def scheme(self, peer: str, own: str, forwarded: Sequence[str]) -> str:
        """`https` or `http` as requested; uses `forwarded` only if `peer` is trusted."""
        if not forwarded:
            return own
        scheme = forwarded[-1].rpartition(",")[2].strip().lower()
        return scheme if scheme in {"http", "https"} and self.trusts(peer) else own
