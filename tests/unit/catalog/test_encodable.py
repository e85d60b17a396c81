"""Whatever a plugin file holds, what is taken over can be written as JSON and UTF-8."""

import json
import os
from pathlib import Path

import pytest

from qmonus_lite import __version__, strictjson
from qmonus_lite.apigw import openapi
from qmonus_lite.apigw.json_values import json_value
from qmonus_lite.catalog.live import Live, describe
from tests.unit.catalog.plugin_folder import Folder, handler

#: As json.dumps writes an emoji, and one half of it.
EMOJI, HALF = r"\ud83d\ude00", r"\ud83d"
ROUTE = """\
- authorities: ["127.0.0.1:1"]
  proxy: {path: "/n/{x}"}
  spec:
  - method: POST
    command: "COMMAND"
    usage: "USAGE"
    schema: {request: {body: {type: object, properties: {"KEY": {default: VALUE}}}}}
"""
PLACES = {
    "name": handler(name='"TEXT"'),
    "event": handler(event='"TEXT"'),
    "success": handler() + 'success: "TEXT"\n',
    "failure": handler() + 'failure: "TEXT"\n',
    "unknown key": handler() + '"TEXT": 1\n',
    "config name": 'name: "TEXT"\nvalues: {}\n',
    "config key": 'name: c\nvalues: {a: {"TEXT": 1}}\n',
    "config value": 'name: c\nvalues: {a: [1, "TEXT"]}\n',
    "environment": 'name: c\nvalues: {a: !env "TEXT"}\n',
    "authority": ROUTE.replace("127.0.0.1:1", "TEXT"),
    "command": ROUTE.replace("COMMAND", "TEXT"),
    "usage": ROUTE.replace("USAGE", "TEXT"),
    "schema key": ROUTE.replace("KEY", "TEXT"),
    "schema value": ROUTE.replace("VALUE", '"TEXT"'),
    "role": '- {name: "TEXT", authorities: []}\n',
    "regex": '- {name: r, authorities: [{regex: "TEXT", methods: [GET]}]}\n',
    "methods": '- {name: r, authorities: [{regex: a, methods: ["TEXT"]}]}\n',
    "username": '- {username: "TEXT", role: admin}\n',
    "kind of Qmonus": 'name: "TEXT"\ncode: "TEXT"\n',
}


def filled(text: str) -> str:
    """The file with sound texts where nothing is put in."""
    return text.replace("COMMAND", "a").replace("USAGE", "b").replace("VALUE", "1")


def written(folder: Folder) -> bytes:
    """All that others are told of a plugin set."""
    live = Live(folder.loader)
    routes = openapi.describe(live.catalog.routes, None, __version__)
    return strictjson.write(
        [json_value(describe(live)), list(live.catalog.events), routes]
    ).encode()


@pytest.mark.parametrize("place", PLACES)
def test_a_pair_of_escapes_is_its_one_character(folder: Folder, place: str) -> None:
    folder.put("a.yml", filled(PLACES[place].replace("TEXT", EMOJI)))
    folder.put("b.yml", handler("b"))
    text = written(folder).decode()

    assert json.loads(text)
    if place in {"name", "event", "config name", "usage", "schema value", "username", "role"}:
        assert "\U0001f600" in text


@pytest.mark.parametrize("text", [HALF, r"\ude00\ud83d", rf"{EMOJI}\udfff"])
@pytest.mark.parametrize("place", PLACES)
def test_half_of_a_pair_is_a_fault_of_its_file(folder: Folder, place: str, text: str) -> None:
    source = filled(PLACES[place].replace("TEXT", text))
    folder.put("a.yml", source)
    line = source[: source.index(text)].count("\n") + 1
    column = source.splitlines()[line - 1].index(text)

    [fault] = folder.faults()
    assert fault.startswith(
        f"a.yml:{line}:{column if place != 'environment' else column - 5}: half"
    )


@pytest.mark.parametrize(
    "number", [".nan", ".inf", "-.Inf", ".NAN", "1e400", "-1e309", "9" * 400, "0x" + "f" * 5000]
)
@pytest.mark.parametrize("place", ["schema value", "config value"])
def test_a_number_that_is_not_finite_is_a_fault(folder: Folder, place: str, number: str) -> None:
    folder.put("a.yml", filled(PLACES[place].replace('"TEXT"', number)))

    [fault] = folder.faults()
    assert "a number that JSON has no form for" in fault
    assert fault.startswith("a.yml:7:" if place == "schema value" else "a.yml:2:")


@pytest.mark.parametrize(
    ("source", "beginning"),
    [
        ("name: x\nvalues:\n  day: 2001-02-30\n", "3:8: not usable YAML"),
        ("name: x\nvalues: [1, !!int x]\n", "2:13: tag"),
        ("name: x\nvalues:\n  a: !!float x\n", "3:6: tag"),
        ("name: x\nvalues:\n  a: !!bool x\n", "3:6: tag"),
        ('name: x\nvalues:\n  a: "x\\U00110000"\n', "3:10: not usable YAML"),
        ("name: x\nvalues:\n  a: " + "9" * 5000 + "\n", "3:6: not usable YAML"),
    ],
)
def test_a_scalar_that_cannot_be_read_is_reported_with_its_position(
    folder: Folder, source: str, beginning: str
) -> None:
    folder.put("a.yml", source)

    [fault] = folder.faults()
    assert fault.startswith(f"a.yml:{beginning}")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (handler(name=r'"a\0b"'), "1:1: name 'a\\x00b' has a control"),
        (handler(event=r'"a\nb"'), "2:1: event 'a\\nb' has a control"),
        (handler() + 'success: "\\x1b[2J"\n', "6:1: success '\\x1b[2J' has a control"),
        ('name: c\nvalues: {"a\\x07": 1}\n', "2:10: key 'a\\x07' has a control"),
        ('- {username: "a\\u2028b"}\n', "1:4: username 'a\\u2028b' has a control"),
        ('- {username: u, roles: [admin, "a\\tb"]}\n', "1:17: roles 'a\\tb' has a control"),
    ],
)
def test_names_and_keys_have_no_control_characters(folder: Folder, source: str, fault: str) -> None:
    folder.put("a.yml", source)

    assert folder.faults()[0].startswith(f"a.yml:{fault}")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (handler(name="!env HOME"), "1:1: !env is for"),
        (handler(event="!env HOME"), "2:1: !env is for"),
        (handler() + "version: [!sealed x]\n", "6:11: !sealed is for"),
        (ROUTE.replace('"USAGE"', "!env HOME"), "6:5: !env is for"),
        (ROUTE.replace("VALUE", "!env HOME"), "7:"),
        (ROUTE.replace('"/n/{x}"', "!env HOME"), "2:11: !env is for"),
        ("- {username: !env HOME}\n", "1:4: !env is for"),
        ("name: !env HOME\nvalues: {}\n", "1:1: !env is for"),
    ],
)
def test_a_tag_outside_of_a_config_is_a_fault(folder: Folder, source: str, fault: str) -> None:
    folder.put("a.yml", filled(source))

    [found] = folder.faults()
    assert found.startswith(f"a.yml:{fault}")
    assert "is for the values of a Config plugin only" in found


def test_names_that_are_equal_after_pairing_are_reported(folder: Folder) -> None:
    folder.put("a.yml", f'name: c\nvalues: {{"{EMOJI}": 1, "\U0001f600": 2}}\n')

    [fault] = folder.faults()
    assert "duplicate key" in fault


@pytest.mark.parametrize("name", [b"\xff.yml", b"\xe9t\xe9/a.yml"])
def test_a_file_whose_path_is_no_text_is_a_fault_of_its_own(folder: Folder, name: bytes) -> None:
    folder.put("b.yml", handler("b"))
    place = Path(os.fsdecode(os.fsencode(folder.path) + b"/" + name))
    place.parent.mkdir(exist_ok=True)
    place.write_text(handler("a"))

    [fault] = folder.faults()
    assert fault.isprintable()
    assert fault.endswith("its path is not UTF-8 text; rename it")
    fault.encode()


def test_a_plugin_that_fails_unforeseen_costs_its_own_file(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("qmonus_lite.catalog.builders.RouteBuilder.build", fail)
    folder.put("a.yml", filled(ROUTE))
    folder.put("b.yml", "x: 1\n")

    first, second = folder.faults()
    assert first == "a.yml:1:3: cannot be used: ZeroDivisionError"
    assert second.startswith("b.yml:1:1: no kind of plugin")
