"""Which header fields of a client go on to a backend."""

import pytest

from qmonus_lite.headers import Headers
from qmonus_lite.routing.hop_by_hop import backend_headers


@pytest.mark.parametrize(
    "name",
    ["X_Forwarded_For", "x_forwarded-proto", "Transfer_Encoding", "Content_Length", "X_Auth_Token"],
)
def test_a_field_that_cgi_cannot_tell_from_one_of_the_gateway_is_removed(name: str) -> None:
    given = Headers.combined([(name, "1.2.3.4"), ("X-Own", "a"), ("my_field", "b")])

    assert dict(backend_headers(given, frozenset())) == {"X-Own": "a", "My_field": "b"}
