"""Credentials in the headers of a request: tokens, API keys, and what is neither."""

import base64

import pytest

from qmonus_lite.auth.credentials import (
    ApiKey,
    check_single,
    is_from_browser,
    read_credential,
    read_logon,
    without_cross_site_basic,
)
from qmonus_lite.auth.login_throttle import FREE_FAILURES
from qmonus_lite.errors import AmbiguousCredentials, Forbidden, TooManyRequests, Unauthorized
from qmonus_lite.headers import Headers
from tests.unit.auth.test_gatekeeper import KEY, OTHER_KEY, Gate, role


def basic(pair: str, scheme: str = "Basic") -> dict[str, str]:
    return {"Authorization": f"{scheme} {base64.b64encode(pair.encode()).decode()}"}


@pytest.fixture
def gate() -> Gate:
    gate = Gate(roles={"putter": role("putter", "/upload/", "PUT")})
    gate.add("user", "putter")
    return gate


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Api-Key": KEY}, ApiKey(key=KEY)),
        (basic(f"ann:{KEY}"), ApiKey(key=KEY, username="ann")),
        (basic(f"ann:{KEY}", "bAsIc"), ApiKey(key=KEY, username="ann")),
        (basic(f"ann:{KEY}", "Basic "), ApiKey(key=KEY, username="ann")),
        (basic(f"日本:{KEY}"), ApiKey(key=KEY, username="日本")),
        (basic(f":{KEY}"), ApiKey(key=KEY, username="")),
        ({"X-Api-Key": KEY, **basic("ann:theirs")}, ApiKey(key=KEY)),
        ({"X-Api-Key": KEY, "Authorization": "Bearer theirs"}, ApiKey(key=KEY)),
        ({"X-Api-Key": "theirs", **basic(f"ann:{KEY}")}, ApiKey(key=KEY, username="ann")),
        ({"X-Auth-Token": "t", "X-Api-Key": KEY}, "t"),
        ({"X-Api-Key": "theirs", "Authorization": "Bearer t"}, "t"),
    ],
)
def test_finds_the_credential_of_a_request(headers: dict[str, str], expected: object) -> None:
    assert read_credential(headers) == expected
    assert read_credential(Headers(headers)) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Api-Key": ""},
        {"X-Api-Key": KEY[:-1]},
        {"X-Api-Key": KEY + "x"},
        {"X-Api-Key": f" {KEY}"},
        {"X-Api-Key": "a, b"},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !"},
        {"Authorization": "Basic caf\xe9"},
        {"Authorization": f"Basic {KEY}"},
        basic("ann"),
        basic("ann:theirs"),
        basic(KEY),
        basic(f"{KEY}:"),
        basic(f"ann:{KEY}x"),
        basic(f"ann:{KEY}\n"),
        basic(f"ann:b:{KEY}"),
        {"Authorization": f"Digest username={KEY}"},
    ],
)
def test_a_value_that_has_not_the_form_of_our_keys_is_no_credential_of_ours(
    headers: dict[str, str],
) -> None:
    assert read_credential(headers) is None


@pytest.mark.parametrize("value", [f"{KEY}, {OTHER_KEY}", f"theirs,{KEY}", f"{KEY}, {KEY}"])
def test_two_keys_in_one_place_are_ambiguous(value: str) -> None:
    for read in (read_credential, check_single):
        with pytest.raises(AmbiguousCredentials):
            read({"X-Api-Key": value})
    check_single({"X-Api-Key": "their, own"})


def test_a_logon_takes_any_text_for_a_key_and_a_key_of_basic() -> None:
    assert read_logon({"X-Api-Key": "any"}) == ApiKey(key="any")
    assert read_logon(basic(f"ann:{KEY}")) == ApiKey(key=KEY, username="ann")
    for headers in ({}, basic("ann:theirs"), {"X-Auth-Token": "t"}, {"Authorization": "Bearer t"}):
        assert read_logon(headers) is None


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://other"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://Gw:9099"}, False),
        ({"Origin": "http://gW:9099"}, True),
        ({"Origin": "http://gw"}, False),
        ({"Origin": "http://other:9099"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "http://[x"}, False),
    ],
)
def test_of_a_page_of_another_origin_basic_is_not_taken(
    headers: dict[str, str], kept: bool
) -> None:
    given = Headers({"Host": "GW:9099", **headers, **basic(f"ann:{KEY}"), "X-Api-Key": KEY})
    left = without_cross_site_basic(given)

    assert ("Authorization" in left) is kept
    assert left["X-Api-Key"] == KEY
    bearer = Headers(given | {"Authorization": "Bearer t"})
    assert without_cross_site_basic(bearer) is bearer


def test_a_request_of_a_page_is_told_by_origin_and_fetch_mode() -> None:
    assert is_from_browser({"Origin": "null"})
    assert is_from_browser({"Sec-Fetch-Mode": "navigate"})
    assert not is_from_browser({"User-Agent": "Mozilla/5.0"})


@pytest.mark.parametrize("headers", [{"X-Api-Key": KEY}, basic(f"user:{KEY}")])
def test_a_key_is_a_credential_of_its_account_on_any_request(
    gate: Gate, headers: dict[str, str]
) -> None:
    actor = gate.gatekeeper.authorize(headers, "PUT", "/upload/a")
    assert actor.account == {"name": "user", "roles": ["putter"]}
    assert gate.gatekeeper.known(headers) == actor

    with pytest.raises(Forbidden, match="'user'"):
        gate.gatekeeper.authorize(headers, "GET", "/v1/x")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Api-Key": OTHER_KEY},
        basic(f"user:{OTHER_KEY}"),
        basic(f"other:{KEY}"),
        basic(f"User:{KEY}"),
        basic(f":{KEY}"),
    ],
)
def test_wrong_keys_and_names_look_the_same_and_are_throttled(
    gate: Gate, headers: dict[str, str]
) -> None:
    gatekeeper = gate.gatekeeper
    details = set()
    for _ in range(FREE_FAILURES):
        assert gatekeeper.known(headers) is None
        with pytest.raises(Unauthorized) as caught:
            gatekeeper.authorize(headers, "PUT", "/upload/a", client="192.0.2.1")
        details.add(caught.value.detail)
    with pytest.raises(TooManyRequests):
        gatekeeper.authorize(headers, "PUT", "/upload/a", client="192.0.2.1")

    assert details == {"the API key is not valid, or not one of the account that is named with it"}
    gatekeeper.authorize(basic(f"user:{KEY}"), "PUT", "/upload/a", client="192.0.2.1")
    with pytest.raises(Unauthorized):
        gatekeeper.authorize(headers, "PUT", "/upload/a", client="192.0.2.2")


@pytest.mark.parametrize(
    "headers", [{}, {"X-Api-Key": "theirs"}, basic("user:theirs"), {"X-Auth-Token": "x"}]
)
def test_what_is_no_key_of_ours_is_not_throttled(gate: Gate, headers: dict[str, str]) -> None:
    gatekeeper = gate.gatekeeper
    for _ in range(FREE_FAILURES * 2):
        with pytest.raises(Unauthorized):
            gatekeeper.authorize(headers, "PUT", "/upload/a", client="192.0.2.1")
    with pytest.raises(Unauthorized):
        gatekeeper.authorize({"X-Api-Key": OTHER_KEY}, "PUT", "/", client="192.0.2.1")


def test_a_key_of_an_account_that_was_taken_away_is_out_at_once(gate: Gate) -> None:
    gate.gatekeeper.authorize({"X-Api-Key": KEY}, "PUT", "/upload/a")
    gate.accounts.clear()

    with pytest.raises(Unauthorized):
        gate.gatekeeper.authorize({"X-Api-Key": KEY}, "PUT", "/upload/a")


def test_a_key_is_no_token(gate: Gate) -> None:
    for headers in ({"X-Auth-Token": KEY}, {"Authorization": f"Bearer {KEY}"}):
        with pytest.raises(Unauthorized, match="give a valid token"):
            gate.gatekeeper.authorize(headers, "PUT", "/upload/a")
