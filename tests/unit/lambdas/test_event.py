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
    assert Event(DATA).get("Path") == "a header"
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
