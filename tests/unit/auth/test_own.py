"""Which credentials in a request are ours, and what is left without them."""

import base64
import time

import pytest

from qmonus_lite.auth import apikey
from qmonus_lite.auth.callout_pass import HEADER, Passes
from qmonus_lite.auth.own import OwnCredentials, hide_from_scripts, masked, without
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.clock import Clock
from qmonus_lite.headers import Headers
from tests.unit.auth.test_tokens import LateClock

TOKENS = Minter(key=b"t" * 32, clock=Clock("UTC"))
PASSES = Passes(minter=Minter(key=b"p" * 32, clock=Clock("UTC")))
OWN = OwnCredentials(minters=(TOKENS, PASSES.minter))
KEY = apikey.new_key()
TOKEN = TOKENS.mint("ann", audience="audience", ttl=60)


def basic(pair: str) -> str:
    return base64.b64encode(pair.encode()).decode()


def test_tokens_passes_and_keys_are_ours() -> None:
    given = PASSES.issue("127.0.0.1:9099", "PUT", "/upload/a")[HEADER]
    for text in (TOKEN, given, KEY):
        assert OWN.found_in(f"Bearer {text}") == {text}
        assert OWN.found_in(f"a=1; b={text}, x") == {text}
    assert OWN.found_in(f"{TOKEN}, {KEY}") == {TOKEN, KEY}
    for user in ("", "a", "an", "ann", "a long name"):
        pair = basic(f"{user}:{KEY}")
        assert OWN.found_in(f"Basic {pair}") == {pair}
        assert OWN.found_in(f"basic  {pair.rstrip('=')}") == {pair.rstrip("=")}


def test_a_token_of_ours_is_ours_when_its_time_is_over() -> None:
    late = Minter(key=b"t" * 32, clock=LateClock(-1000)).mint("ann", audience="audience", ttl=60)

    assert OWN.found_in(late) == {late}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer",
        "Basic",
        "Basic !!!",
        "Basic dXNlcjpw",
        "Basic dXNlcjpwY",
        "qml_short",
        "sk_live_" + "k" * 43,
        TOKEN[:-1],
        TOKEN + "x",
        TOKEN.partition(".")[2],
        Minter(key=b"x" * 32, clock=Clock("UTC")).mint("ann", audience="audience", ttl=60),
        "eyJ.eyJ." + "\u00e9" * 43,
    ],
)
def test_what_others_issued_is_not_ours(text: str) -> None:
    assert OWN.found_in(text) == frozenset()


def test_an_address_shows_what_is_ours() -> None:
    for query in ({"a": ["1", TOKEN]}, {KEY: [""]}, {"a": [f"x{KEY}"]}):
        assert OWN.shown_in(query)
    assert not OWN.shown_in({"token": ["abc"], "a": []})


def test_of_cookies_only_the_credential_goes() -> None:
    headers = Headers({"Cookie": f"a=1; t={TOKEN}", "X-Auth-Token": TOKEN, "Accept": "*/*"})

    assert without(headers, frozenset({TOKEN})) == {"Cookie": "a=1; t=********", "Accept": "*/*"}


def test_masks_however_deep() -> None:
    data = {"a": [f"Bearer {TOKEN}", 1, None, {"b": (TOKEN,)}], "c": True}

    assert masked(data, frozenset({TOKEN})) == {
        "a": ["Bearer ********", 1, None, {"b": ["********"]}],
        "c": True,
    }


def test_scripts_see_neither_pass_nor_key() -> None:
    headers = Headers({HEADER: "p", "X-API-Key": KEY, "Authorization": f"Basic {basic(KEY)}"})
    unaffected = {"X-Auth-Token": TOKEN, "Accept": "*/*"}
    headers |= unaffected
    hide_from_scripts(headers)

    assert headers == unaffected


def test_looking_for_credentials_takes_time_that_grows_with_the_text_alone() -> None:
    began = time.process_time()
    for text in (
        "eyJ" * 5400,
        "eyJa.b." * 2300,
        "basic " * 2700,
        "basic" + " " * 16000,
        "qml_" * 4000,
    ):
        OWN.found_in(text)

    assert time.process_time() - began < 1
