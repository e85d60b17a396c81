"""What the events of an upload say of its client."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from qmonus_lite import strictjson
from qmonus_lite.auth import apikey
from qmonus_lite.auth.account import Account, Directory
from qmonus_lite.auth.callout_pass import HEADER, Passes
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.clock import Clock
from qmonus_lite.errors import BadRequest
from qmonus_lite.events.gateway import FIELDS, UNFILLED, Gateway
from qmonus_lite.headers import Headers
from qmonus_lite.uploads.event_data import question_data, stored_event_data
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.target import Target

TARGET = Target(path="/upload/a", resources={"filepath": "a"})
CLOCK = Clock("UTC")
GATEKEEPER = Gatekeeper(
    directory=lambda: Directory(accounts={"ann": Account(username="ann", roles=("x",))}, roles={}),
    minter=Minter(key=b"t" * 32, clock=CLOCK),
    passes=Passes(minter=Minter(key=b"p" * 32, clock=CLOCK)),
    host_port="127.0.0.1:9099",
    clock=CLOCK,
    token_ttl=86400,
)
TOKEN = GATEKEEPER.token_for("ann").token
KEY = apikey.new_key()


def asked(
    headers: dict[str, str], params: dict[str, list[str]] | None = None, length: int | None = 1
) -> tuple[dict[str, Any], UploadRequest]:
    head = UploadRequest(
        raw_path="/upload/a",
        values={"filepath": "a"},
        params=params or {},
        headers=Headers(headers),
        length=length,
    )
    return question_data(head, TARGET, GATEKEEPER)[0], head


def test_a_question_carries_the_headers_as_they_came_but_for_the_pass() -> None:
    headers = {"X-Auth-Token": "theirs", "X-Api-Key": KEY, "Cookie": "a=1"}
    given = GATEKEEPER.passes.issue(GATEKEEPER.host_port, "PUT", "/upload/a")

    assert asked(headers | given)[0]["headers"] == headers
    assert HEADER in Headers(given)


def test_a_question_says_who_asks_and_so_does_the_record() -> None:
    data, head = asked({"Authorization": f"Bearer {TOKEN}"})

    assert data["account"] == {"name": "ann", "roles": []}
    assert head.record.account == "ann"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Account": "ann"}, {"X-Auth-Token": "x"}, {"X-Auth-Token": f"{TOKEN}, {TOKEN}"}],
)
def test_a_client_without_a_valid_credential_is_nobody(headers: dict[str, str]) -> None:
    data, head = asked(headers)

    assert data["account"] is None
    assert head.record.account is None


@pytest.mark.parametrize("length", [0, 7, None])
def test_a_question_says_what_length_was_declared(length: int | None) -> None:
    assert asked({}, length=length)[0]["length"] == length


def test_the_query_is_in_one_form() -> None:
    data, _ = asked({}, {"folder": ["\u212aEYS"], "e\u0301": ["1"], "\u00e9": ["2"]})

    assert data["params"] == {"folder": ["KEYS"], "\u00e9": ["1", "2"]}


def test_a_credential_in_the_query_is_refused() -> None:
    with pytest.raises(BadRequest, match="the query has a credential"):
        asked({}, {"t": [f"Bearer {TOKEN}"]})


def promised(headers: Any, *unmasked: str) -> Any:
    event = {"path": "/upload/a", "headers": headers}
    data = json.loads(
        stored_event_data(event, {"path": "/b"}, {"bytes": 1}, frozenset(unmasked), GATEKEEPER.own)
    )
    assert data["path"] == "/b"
    return data["headers"]


NAMES = ("Authorization", "X-Auth-Token", "x-api-key", "COOKIE", "Proxy-Authorization")


@pytest.mark.parametrize("name", NAMES)
def test_credentials_are_masked_unless_a_plugin_keeps_them(name: str) -> None:
    headers = {name: f"secret {TOKEN}", "Accept": "*/*"}
    masked = {name: "********", "Accept": "*/*"}

    assert promised(headers) == masked
    assert promised(headers, name.lower()) == headers
    others = {other.lower() for other in NAMES} - {name.lower()}
    assert promised(headers, *others) == masked


def test_a_credential_of_ours_is_masked_in_any_header() -> None:
    foreign = "eyJhbGciOiJIUzI1NiJ9.e30.abc"
    headers = {"X-A": f"a {TOKEN} {KEY}", "X-B": foreign, "X-C": 5}

    assert promised(headers) == {"X-A": "a ******** ********", "X-B": foreign, "X-C": 5}


@pytest.mark.parametrize("headers", [None, "text", [], {}, {"X-A": None}])
def test_a_handler_may_have_left_something_else_as_headers(headers: Any) -> None:
    assert promised(headers) == headers


def test_an_event_whose_headers_a_handler_took_away_has_none() -> None:
    text = stored_event_data({}, {"path": "/b"}, {"bytes": 1}, frozenset(), GATEKEEPER.own)

    assert json.loads(text) == {"path": "/b", **dict.fromkeys(FIELDS), "bytes": 1}


ADDRESS_FIELDS = {"address": "10.0.0.7", "port": 9099, "filepath": '/srv/a "b"/名'}


@pytest.mark.parametrize(
    "event",
    [
        {"path": "/upload/a", "resources": {"filepath": "a"}, "headers": {"A": "ü"}, "length": 3},
        # What a handler has set stays at its place.
        {"filepath": 1, "path": "/a", "bytes": "x", "headers": None, "more": [1.5, "\u2028"]},
        {"port": 1, "nested": dict.fromkeys(FIELDS), "text": UNFILLED},
    ],
)
def test_a_completed_event_is_what_one_with_all_its_fields_would_be(event: dict[str, Any]) -> None:
    """Byte by byte: as it was when the fields were stored with the event."""
    accepted = {"path": "/b", "account": None, "length": None}
    stored = {"mime": "text/plain", "bytes": 7}
    pending = SimpleNamespace(
        data=stored_event_data(event, accepted, stored, frozenset(), GATEKEEPER.own),
        store="file",
        store_path='a "b"/名',
    )
    gateway = Gateway(address="10.0.0.7", port=9099, stores={"file": "/srv/"})

    assert gateway.complete(pending) == strictjson.write(
        {**event, **accepted, **ADDRESS_FIELDS, **stored}
    )
