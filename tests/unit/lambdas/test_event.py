"""The event that handlers see."""

import json

import pytest

from qmonus_lite.lambdas.event import Event

DATA = {"path": "/upload/a", "headers": {"x-auth-token": "t", "Path": "a header"}, "none": None}


@pytest.mark.parametrize("name", ["X-Auth-Token", "x-auth-token", "X-AUTH-TOKEN"])
def test_headers_are_found_in_any_case(name: str) -> None:
    assert Event(DATA)["headers"][name] == "t"
    assert Event(DATA)["headers"].get(name) == "t"


@pytest.mark.parametrize("name", ["X-Auth-Token", "x-auth-token"])
def test_get_looks_among_the_headers_for_a_key_that_is_not_there(name: str) -> None:
    assert Event(DATA).get(name) == "t"
    assert Event(DATA).get(name, "default") == "t"


def test_get_prefers_the_key_of_the_event() -> None:
    assert Event(DATA).get("path") == "/upload/a"
    assert Event(DATA).get("none", "default") is None


@pytest.mark.parametrize("key", ["missing", "", 5, None, ("a",)])
def test_get_gives_the_default_for_what_is_nowhere(key: str) -> None:
    assert Event(DATA).get(key) is None
    assert Event(DATA).get(key, "default") == "default"


@pytest.mark.parametrize("headers", [None, [], "text", 5])
def test_an_event_may_have_something_else_as_headers(headers: object) -> None:
    event = Event({"headers": headers})

    assert event.get("x", 1) == 1
    assert event["headers"] == headers
    assert Event({}).get("x", 1) == 1


def test_it_is_a_dict() -> None:
    event = Event(DATA)
    event["path"] = "/accountA" + event["path"]

    assert isinstance(event, dict)
    assert json.loads(json.dumps(event))["path"] == "/accountA/upload/a"
    with pytest.raises(KeyError):
        event["X-Auth-Token"]


def test_the_data_it_was_made_of_stays_as_it_was() -> None:
    event = Event(DATA)
    event["headers"]["X-New"] = "1"
    event["path"] = "changed"

    assert DATA["path"] == "/upload/a"
    assert "X-New" not in str(DATA)


@pytest.mark.parametrize("name", ["account", "Account", "approved", "x_auth_token", "Path", "id"])
def test_a_key_without_a_hyphen_is_never_answered_by_a_client(name: str) -> None:
    sent = {"Account": "root", "Approved": "yes", "X_auth_token": "t", "Path": "p", "Id": "1"}
    event = Event({"path": "/upload/a", "headers": sent})

    assert event.get(name) is None
    assert event.get(name, "default") == "default"
    assert name not in event
    assert event.pop(name, None) is None
    assert event.setdefault(name, "first") == "first"


def test_the_path_of_an_upload_is_in_one_form_for_every_handler() -> None:
    left = {"path": "/upload/\u212aEYS", "resources": {"filepath": "x"}}

    assert Event(left)["path"] == "/upload/KEYS"
    assert Event({"path": "\u212a"})["path"] == "\u212a"
    assert Event({"path": 5, "resources": {}})["path"] == 5
