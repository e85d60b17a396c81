"""Ids of requests: whose are taken over, and in which form."""

import pytest

from qmonus_lite.auth.apikey import new_key
from qmonus_lite.http.framing import RequestHead
from qmonus_lite.http.limits import TrustedProxies
from qmonus_lite.http.request import received
from qmonus_lite.http.request_ids import MAX_REQUEST_ID_CHARS
from qmonus_lite.observations import RequestRecord

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
PROXIES = TrustedProxies.of(["10.0.0.0/8"])


def record(*fields: tuple[str, str], peer: str = "10.0.0.1") -> RequestRecord:
    head = RequestHead(method="PUT", target="/upload/a", version="HTTP/1.1", fields=fields)
    return received(head, peer=peer, protocol="http", proxies=PROXIES).record


@pytest.mark.parametrize(
    "given", ["a", "3f2a9c", "01a203cf-eb7f-78bd-bb78-aeb100a5419c", "Root=1-67891233:a/b+c@d~e._"]
)
def test_the_id_that_a_trusted_proxy_gives_is_that_of_the_request(given: str) -> None:
    assert record(("X-Request-ID", given)).request_id == given


@pytest.mark.parametrize(
    "fields",
    [
        [("X-Request-Id", "")],
        [("X-Request-Id", "a b")],
        [("X-Request-Id", "a, b")],
        [("X-Request-Id", "caf\xe9")],
        [("X-Request-Id", 'a"')],
        [("X-Request-Id", "a\u2028")],
        [("X-Request-Id", "a"), ("x-request-id", "b")],
        [("X-Request-Id", "a" * (MAX_REQUEST_ID_CHARS + 1))],
        [("X_Request_Id", "a")],
    ],
)
def test_an_id_in_another_form_is_passed_over(fields: list[tuple[str, str]]) -> None:
    assert len(record(*fields).request_id) == 36


def test_a_credential_is_no_id() -> None:
    assert len(record(("X-Request-Id", new_key())).request_id) == 36


def test_others_choose_no_ids() -> None:
    fields = ("X-Request-Id", "chosen"), ("traceparent", PARENT)
    for peer in ("192.0.2.1", "", "x"):
        given = record(*fields, ("X-Forwarded-For", "10.0.0.1"), peer=peer)
        assert (len(given.request_id), given.trace_id) == (36, "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PARENT, TRACE),
        (PARENT[:-2] + "ff", TRACE),
        ("cc" + PARENT[2:] + "-what-comes", TRACE),
        ("cc" + PARENT[2:], TRACE),
        (PARENT + "-more", ""),
        ("cc" + PARENT[2:] + "more", ""),
        ("ff" + PARENT[2:], ""),
        (PARENT.upper(), ""),
        (PARENT.replace(TRACE, "0" * 32), ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (PARENT[:-1], ""),
        ("", ""),
    ],
)
def test_the_trace_id_is_that_of_a_valid_traceparent(given: str, expected: str) -> None:
    assert record(("Traceparent", given)).trace_id == expected


def test_two_traceparents_are_none() -> None:
    assert record(("traceparent", PARENT), ("traceparent", PARENT)).trace_id == ""
