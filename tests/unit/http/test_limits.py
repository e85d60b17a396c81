"""Limits on requests: how many at once, and whom an APIGW believes about the client."""

import pytest

from qmonus_lite.errors import Unavailable
from qmonus_lite.http.limits import ConcurrencyLimit, TrustedProxies

PROXIES = TrustedProxies.of(("10.0.0.0/8", "::1", "192.0.2.7"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.1", ["198.51.100.9"], "203.0.113.1"),
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.9", "192.0.2.7"], "198.51.100.9"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, \x1b[31m"], "10.0.0.1"),
        ("::1", ["2001:DB8::1"], "2001:db8::1"),
        ("", ["1.1.1.1"], ""),
    ],
)
def test_believes_what_its_own_proxies_appended(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert PROXIES.client(peer, forwarded) == client


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "http, HTTPS", "https"),
        ("10.0.0.1", "gopher", "http"),
        ("10.0.0.1", "", "http"),
        ("203.0.113.1", "https", "http"),
    ],
)
def test_believes_a_scheme_likewise(peer: str, said: str, scheme: str) -> None:
    assert PROXIES.scheme(peer, "http", [said]) == scheme


def test_as_many_hold_a_limit_as_it_allows_and_no_more() -> None:
    limit = ConcurrencyLimit(2, Unavailable, "two are under way")
    with limit:
        with limit, pytest.raises(Unavailable, match="two are under way"), limit:
            pass
        assert limit.active == 1

    assert limit.active == 0
