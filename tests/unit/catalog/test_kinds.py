"""The plugin contract: the kind of a file is told by its shape."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.catalog.kinds import KINDS, UNSUPPORTED, Kind, detect_kind


def name(value: object) -> str | None:
    kind = detect_kind(value)
    return kind.name if isinstance(kind, Kind) else kind


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"name": "a", "event": "E", "script": "x"}, "Lambda"),
        ({"script": "x"}, "Lambda"),
        ({"event": "E"}, "Lambda"),
        ({"values": {}}, "Config"),
        ([{"proxy": {}}], "Routing"),
        ([{"username": "u"}], "Account"),
        ([{"name": "r", "authorities": []}], "Role"),
        ({"commands": [], "uri": "/x", "name": "s"}, "Scenario"),
        ({"attributes": {}, "methods": {}, "name": "c"}, "Class"),
        ({"category": "A", "name": "m", "version": 1, "code": "x"}, "Module"),
        ({"action": {}, "commands": [], "status": "active"}, "Daemon"),
        ({"topics": ["t"], "script": "x", "name": "j"}, "Job"),
        ({"target": "s", "assertion": {}, "input": {}}, "Testcase"),
        ({"suites": {"testcases": []}}, "Testsuite"),
        ({"event": "E", "script": "x", "topics": [], "code": "", "name": "a"}, "Lambda"),
        ({"values": {}, "name": "a", "template": "x"}, "Config"),
        ({}, None),
        ([], None),
        ([[]], None),
        (["proxy"], None),
        ([{"name": "r"}], None),
        ({"proxy": {}}, None),
        ("event: script", None),
        (None, None),
        (5, None),
    ],
)
def test_tells_a_kind_by_its_shape(value: object, kind: str | None) -> None:
    assert name(value) == kind


@given(st.dictionaries(st.sampled_from([*UNSUPPORTED["Class"], "event", "values", "x"]), st.none()))
def test_tells_something_of_any_mapping(value: dict[str, Any]) -> None:
    assert name(value) in {None, *KINDS, *UNSUPPORTED}


def test_every_key_has_a_gloss() -> None:
    for kind in KINDS.values():
        assert kind.shape
        assert all(key.gloss for key in kind.keys.values())
        assert set(kind.scripts) <= set(kind.keys)
        assert all(script.returns and script.given for script in kind.scripts.values())


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_lets_book_keeping_of_qmonus_through(kind: Kind) -> None:
    books = {
        "category": "A",
        "version": 3,
        "update": "2026-01-01",
        "workspace": "w",
        "created_at": "x",
    }
    missing = {fault.message for fault in kind.schema().mismatches({})}

    assert {fault.message for fault in kind.schema().mismatches(books)} == missing
