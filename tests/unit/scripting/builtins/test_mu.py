"""`MU`: a dict by attributes."""

import copy
import json

import pytest

from qmonus_lite.scripting.builtins.mu import MU


def test_reads_keys_as_attributes_all_the_way_down() -> None:
    value = MU({"a": {"b": [{"c": 1}]}})

    assert value.a.b[0].c == 1
    assert value["a"]["b"][0]["c"] == 1


def test_takes_keys_as_arguments() -> None:
    assert MU(code=200, event={"x": 1}).event.x == 1


def test_writes_by_attribute() -> None:
    value = MU()
    value.a = 1

    assert value == {"a": 1}


def test_a_missing_name_is_an_attribute_error_and_a_key_error() -> None:
    with pytest.raises(AttributeError):
        MU().missing  # noqa: B018
    with pytest.raises(KeyError):
        MU()["missing"]
    assert dict.get(MU(), "missing") is None
    assert getattr(MU(), "missing", 5) == 5


def test_goes_wherever_a_dict_goes() -> None:
    value = MU({"a": {"b": 1}})

    assert isinstance(value, dict)
    assert json.loads(json.dumps(value)) == {"a": {"b": 1}}
    assert dict(**value) == {"a": {"b": 1}}
    assert copy.deepcopy(value) == value


def test_keys_that_are_no_names_are_still_keys() -> None:
    assert MU({"X-Auth-Token": "t", "keys": 1})["X-Auth-Token"] == "t"
    assert MU({"keys": 1})["keys"] == 1
