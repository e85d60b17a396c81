"""Whom an APIGW believes about the client."""

import pytest

from qmonus_lite.apigw.limits import Limits
from qmonus_lite.settings.server import ServerSettings
from qmonus_lite.settings.uploads import UploadSettings

LIMITS = Limits.of(
    ServerSettings(trusted_proxies=("10.0.0.0/8", "::1", "192.0.2.7")), UploadSettings()
)


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
    assert LIMITS.client(peer, forwarded) == client


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
    assert LIMITS.scheme(peer, "http", said) == scheme
