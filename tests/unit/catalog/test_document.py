"""Documents: plain values that know where they stand."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.catalog.document import (
    BadDocument,
    Document,
    Env,
    Pointer,
    Sealed,
    dump,
    read_values,
)
from qmonus_lite.catalog.text_edits import replace_scalars
from qmonus_lite.errors import BadResource

ROUTE = """\
# A route
- authorities: [a, b]
  proxy:
    path: /v1/x     # public

- proxy:
    authorization:
        auth_mode: none
  spec:
  - method: GET
  -   method: PUT
      usage: "x"
"""


def value(source: str) -> Any:
    return Document("a.yml", source).value


def fault(source: str) -> str:
    with pytest.raises(BadDocument) as caught:
        Document("a.yml", source)
    return str(caught.value)


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ((), (1, 1)),
        ((0,), (2, 3)),
        ((0, "authorities"), (2, 3)),
        ((0, "authorities", 1), (2, 20)),
        ((0, "proxy", "path"), (4, 5)),
        ((1,), (6, 3)),
        ((1, "proxy", "authorization", "auth_mode"), (8, 9)),
        ((1, "spec", 0, "method"), (10, 5)),
        ((1, "spec", 1), (11, 7)),
        ((1, "spec", 1, "usage"), (12, 7)),
        ((1, "spec", 1, "missing"), (11, 7)),
        ((1, "missing", "below"), (6, 3)),
        ((7,), (1, 1)),
        ((0, "proxy", "path", "deeper"), (4, 5)),
    ],
)
def test_knows_the_place_of_everything(pointer: Pointer, place: tuple[int, int]) -> None:
    assert Document("a.yml", ROUTE).position(pointer) == place


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("a: no\nb: on\nc: 0777\nd: 12:30:45\n", {"a": "no", "b": "on", "c": 777, "d": "12:30:45"}),
        ("a: yes\nb: off\nc: y\nd: N\n", {"a": "yes", "b": "off", "c": "y", "d": "N"}),
        ("a: True\nb: FALSE\nc: Null\nd:\n", {"a": True, "b": False, "c": None, "d": None}),
        (
            "a: 0o17\nb: 017\nc: 0x1F\nd: 0b11\ne: 0o8\n",
            {"a": 15, "b": 17, "c": 31, "d": 3, "e": "0o8"},
        ),
        ("a: 1_000\nb: 1_0.5\nc: '1_000'\n", {"a": 1000, "b": 10.5, "c": "1_000"}),
        ("a: 1e3\nb: .5\nc: 1.\nd: +1\n", {"a": 1000.0, "b": 0.5, "c": 1.0, "d": 1}),
        ("a: 1:20\nb: 12:30\nc: 190:20:30.15\n", {"a": "1:20", "b": "12:30", "c": "190:20:30.15"}),
        ("a: =\nb: <<\n", {"a": "=", "b": "<<"}),
        ("yes: 1\non: 2\n", {"yes": 1, "on": 2}),
        ("a: true\nb: &x false\nc: ~\nd: 1.5\n", {"a": True, "b": False, "c": None, "d": 1.5}),
        ("a: 2026-11-22\n", {"a": "2026-11-22"}),
        ("a: 2026-11-22T10:00:00+09:00\n", {"a": "2026-11-22T10:00:00+09:00"}),
        ("a: 2026-11-22T10:00:00Z\n", {"a": "2026-11-22T10:00:00+00:00"}),
        ("a: 'x'\nb: \"y\\n\"\nc: >-\n  z\n  w\n", {"a": "x", "b": "y\n", "c": "z w"}),
        ("<<: {a: 1}\nb: 2\n", {"a": 1, "b": 2}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("", None),
        ("# nothing\n", None),
        ("a: !env HOME\nb: [!sealed v1.x]\n", {"a": Env("HOME"), "b": [Sealed("v1.x")]}),
    ],
)
def test_gives_plain_values(source: str, plain: object) -> None:
    found = value(source)

    assert found == plain
    assert plainest(found)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
@pytest.mark.parametrize("text", ["a{}b", "'a{}b'", '"a{}b"', '"a{}\U000f0000b"', "[a{}b]"])
def test_a_line_separator_of_unicode_is_text(text: str, separator: str) -> None:
    source = f"# c{separator}d\nkey: {text.format(separator)}\nlast: 1\n"
    document = Document("a.yml", source)

    kept = text.strip("'\"[]").format(separator)
    expected: object = [kept] if text.startswith("[") else kept
    assert document.value == {"key": expected, "last": 1}
    assert document.position(("last",)) == (3, 1)


def plainest(found: object) -> bool:
    """Whether nothing of the parser's own classes is left."""
    if type(found) is dict:
        return all(type(key) is str and plainest(part) for key, part in found.items())
    if type(found) is list:
        return all(map(plainest, found))
    return type(found) in {str, int, float, bool, type(None), Env, Sealed}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("a: 1\nb: 2\na: 3\n", "a.yml:3:1: not usable YAML: found duplicate key"),
        ("a: &x 1\nb: *x\n", "a.yml:2:4: an alias (*name); write the value out"),
        ("a: 1\n--- \nb: 2\n", "a.yml:2:1: not usable YAML: but found another document"),
        ("a: 1\n\tb: 2\n", "a.yml:2:"),
        ("a:\n\tb: 2\n", "a.yml:2:1: not usable YAML: a tab, where YAML takes spaces only"),
        ("a: |\n\tb\n", "a.yml:2:1: not usable YAML: a tab, where YAML takes spaces only"),
        ("a: b: c\n", "a.yml:1:5: not usable YAML: mapping values are not allowed"),
        ("a: [1,\n", "a.yml:2:1: not usable YAML"),
        ("a: 'x\n", "a.yml:2:1: not usable YAML"),
        ("a: 1\n[b]: 2\n", "a.yml:2:1: a list or a mapping in the place of a key"),
        ("a: {b c:, [1]: x}\n", "a.yml:1:11: a list or a mapping in the place of a key"),
        ("? {a: 1}\n: x\n", "a.yml:1:3: a list or a mapping in the place of a key"),
        ("a: 1\nb: 2\n1: x\n", "a.yml:3:1: key 1 is not text; put it in quotes"),
        ("a:\n  b: 1\n  ~: x\n", "a.yml:3:3: key None is not text"),
        ("a: 1\nb: !other x\n", "a.yml:2:4: tag '!other': expected '!env NAME'"),
        ("a: 1\nb: !env\n", "a.yml:2:1: tag '!env': expected"),
        ("a: 1\nb: !env [x]\n", "a.yml:2:1: tag '!env' is not one of ours"),
        ("a: 1\nb: !x {}\n", "a.yml:2:4: tag '!x': expected"),
        ("a: 1\nb: !!python/object/apply:os.system [id]\n", "a.yml:2:4: tag"),
        ("a: 1\nb: !!binary aGk=\n", "a.yml:2:4: tag '!!binary': expected"),
        ("a: 1\nb: !!set {x}\n", "a.yml:2:4: tag '!!set': expected"),
        ("a: 1\nb: !!int 3\n", "a.yml:2:4: tag '!!int': expected"),
        ("a: 1\nb: !!map {}\n", "a.yml:2:4: tag '!!map': expected"),
        ("a: 1\nb: !!omap [c: 1]\n", "a.yml:2:4: tag '!!omap': expected"),
        ("a: 1\nb: ! 12\n", "a.yml:2:4: tag '!': expected"),
        ("!!map\na: 1\n", "a.yml:1:1: tag '!!map': expected"),
        ("%TAG ! tag:x,2000:\n---\na: !env X\n", "a.yml:3:4: tag 'tag:x,2000:env': expected"),
        ("a: {?b: 1}\n", "a.yml:1:5: not usable YAML: found character '?'"),
        ("a: |-\n    \n  x\n", "a.yml:3:3: not usable YAML: a blank line before the text"),
        ("a: 1\nb: 日\x07\n", "a.yml:2:5: not usable YAML: a control character"),
        ("a: 2026-13-45\n", "a.yml:1:4: not usable YAML: month"),
        ("a: " + "9" * 5000, "a.yml:1:4: not usable YAML: Exceeds the limit"),
        ("a: 1\nb: " + "[" * 20_000, "a.yml:2:104: brackets are nested too deeply"),
        ("{a: " * 5_000 + "1" + "}" * 5_000, "a.yml:1:401: brackets are nested too deeply"),
        ("\n".join("  " * n + "a:" for n in range(1000)), "a.yml:100:199: is nested too deeply"),
    ],
)
def test_refuses_what_no_plugin_needs_and_says_where(source: str, wanted: str) -> None:
    assert fault(source).startswith(wanted), fault(source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a: |-\n \n  x\n   y\n", "\nx\n y"),
        ("a: |-\n  \n\n \n  x\n", "\n\n\nx"),
        ("a: >-\n \n  x\n  y\nb: 1\n", "\nx y"),
        ("- a: |+\n   \n    x\n\n", "\nx\n\n"),
        ("a: |-\n    \nb: 1\n", ""),
        ("a: |-\n    \n ", ""),
    ],
)
def test_blank_lines_before_the_text_of_a_block_may_have_fewer_spaces(
    source: str, text: str
) -> None:
    found = value(source)
    assert (found[0] if isinstance(found, list) else found)["a"] == text


def test_a_bomb_of_aliases_never_goes_off() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)
    )

    assert fault(bomb).startswith("a.yml:2:10: an alias")


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_reads_any_text_or_says_why_not(source: str) -> None:
    try:
        found = Document("a.yml", source)
    except BadDocument as error:
        assert error.fault.line >= 1 and error.fault.column >= 1
    else:
        assert plainest(found.value)


@pytest.mark.parametrize(
    ("source", "text", "line", "indent"),
    [
        ("s: |-\n  x = 1\n  y = 2\n", "x = 1\ny = 2", 2, 2),
        ("# c\n\ns:   |\n      x\n", "x\n", 4, 6),
        ("s: |- # why\n  x\n", "x", 2, 2),
        ("s: |-\n\n\n    x\n", "\n\nx", 2, 4),
        ("s:\n  |-\n  x\n", "x", 3, 2),
        ("s: |2-\n  x\n", "x", 2, 2),
        ("a: 1\ns: |-\n  # 日本\n  x\nb: 2\n", "# 日本\nx", 3, 2),
        ("s: |-\r\n  x\r\n  y\r\n", "x\ny", 2, 2),
    ],
)
def test_knows_where_a_block_begins(source: str, text: str, line: int, indent: int) -> None:
    block = Document("a.yml", source).block(("s",))

    assert block is not None
    assert (block.text, block.line, block.indent) == (text, line, indent)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_line_separator_of_unicode_moves_no_block(separator: str) -> None:
    script = f"  # a{separator}b\n  x = 'a{separator}b'\n  y = 2\n"
    source = f"name: a{separator}b\nscript: |-\n{script}other: !sealed x\n"
    block = Document("a.yml", source).block(("script",))

    assert block is not None
    assert (block.line, block.indent) == (3, 2)
    assert block.text == f"# a{separator}b\nx = 'a{separator}b'\ny = 2"
    changed = replace_scalars(source, {("other",): Sealed("v1.new")})
    assert changed == source.replace("!sealed x", "!sealed v1.new")


def test_knows_where_a_block_in_a_list_begins() -> None:
    block = Document("a.yml", "- a: 1\n- b:\n    s: |-\n      x\n").block((1, "b", "s"))

    assert block is not None
    assert (block.text, block.line, block.indent) == ("x", 4, 6)


@pytest.mark.parametrize("source", ["s: x", "s: 'x'", "s: >-\n  x\n", "s: [x]", 's: "x"'])
def test_text_written_in_another_way_is_no_block(source: str) -> None:
    assert Document("a.yml", source).block(("s",)) is None


CONFIG = """\
# Where the files go.
name: handson
values:
    region: tokyo    # not secret
    key: "abc"   # secret

    nested:
        deep: |-
            two
            lines
    # the end
    list:
      - one
      - 2
"""


def test_replaces_values_and_keeps_the_comments() -> None:
    new = {
        ("values", "key"): Sealed("v1.K"),
        ("values", "nested", "deep"): Sealed("v1.D"),
        ("values", "list", 1): Sealed("v1.L"),
    }
    changed = replace_scalars(CONFIG, new)

    values = value(changed)["values"]
    assert (values["key"], values["nested"]["deep"]) == (Sealed("v1.K"), Sealed("v1.D"))
    assert values["list"] == ["one", Sealed("v1.L")]
    assert values["region"] == "tokyo"
    for comment in ("# Where the files go.", "# not secret", "# secret", "# the end"):
        assert comment in changed


@pytest.mark.parametrize(
    ("pointer", "before", "after"),
    [
        (("key",), 'key: "abc"   # secret', "key: !sealed v1.K   # secret"),
        (("region",), "region: tokyo    #", "region: !sealed v1.K    #"),
        (("list", 0), "- one", "- !sealed v1.K"),
        (("nested", "deep"), "|-\n            two\n            lines\n", "!sealed v1.K\n"),
    ],
)
def test_changes_nothing_beside_the_value(pointer: Pointer, before: str, after: str) -> None:
    changed = replace_scalars(CONFIG, {("values", *pointer): Sealed("v1.K")})

    assert changed == CONFIG.replace(before, after)


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("a: {b: {c: x}, d: [y]}", "a: {b: {c: !sealed v1.K}, d: [y]}"),
        ("a:\r\n  b:\r\n    c: x\r\n  d: y\r\n", "a:\r\n  b:\r\n    c: !sealed v1.K\r\n  d: y\r\n"),
        ("\ufeffa: {b: {c: x}}\n", "\ufeffa: {b: {c: !sealed v1.K}}\n"),
        ("a:\n  b:\n    c: x\n      y\n", "a:\n  b:\n    c: !sealed v1.K\n"),
        ("日: 本\na: {b: {c: 'x'}}", "日: 本\na: {b: {c: !sealed v1.K}}"),
        ("a: {b: {c: &x 5}}", "a: {b: {c: !sealed v1.K}}"),
    ],
)
def test_replaces_a_value_in_any_style(source: str, changed: str) -> None:
    assert replace_scalars(source, {("a", "b", "c"): Sealed("v1.K")}) == changed
    assert value(changed)["a"]["b"]["c"] == Sealed("v1.K")


def test_writes_what_it_reads() -> None:
    plain = {"name": "a", "list": [1, None, True, "2026-11-22T10:00:00+09:00", "no", "日本"]}

    assert value(dump(plain)) == plain


def test_reads_a_file_of_settings(tmp_path: Path) -> None:
    place = tmp_path / "site.yml"
    place.write_text("port: 8080\nplugins_base_dirs: [a, b]\n")

    assert read_values(place) == {"port": 8080, "plugins_base_dirs": ["a", "b"]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expected a mapping"),
        (b"- a\n", "expected a mapping"),
        (b"port: [\n", "not usable YAML"),
        (b"\xff", "cannot be read"),
    ],
)
def test_refuses_a_file_of_settings_that_is_none(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    place = tmp_path / "site.yml"
    place.write_bytes(content)

    with pytest.raises(BadResource, match=reason):
        read_values(place)


def test_refuses_a_file_of_settings_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadResource, match="--config=.*cannot be read"):
        read_values(tmp_path / "missing.yml")
