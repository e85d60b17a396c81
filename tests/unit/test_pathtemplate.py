"""Path templates, on raw request paths."""

import contextlib
import re
import sys
import time
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.errors import BadRequest
from qmonus_lite.pathtemplate import (
    CONTROL,
    BadTemplate,
    PathTemplate,
    decode,
    decode_as_written,
    decode_variable,
)

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
LITERALS = st.from_regex(r"[A-Za-z0-9.+~:;,=@!$&'()*-]{1,8}", fullmatch=True)
SEGMENTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1)


@st.composite
def templates(draw: st.DrawFn, separators: tuple[str, ...] = ("/",)) -> str:
    names = draw(st.lists(NAMES, unique=True, max_size=3))
    parts = [*(f"{{{name}}}" for name in names), *draw(st.lists(LITERALS, max_size=3))]
    after = st.sampled_from(separators)
    text = "".join(part + draw(after) for part in draw(st.permutations(parts)))
    return "/" + text.rstrip("/")


@given(text=templates(), data=st.data())
def test_finds_again_what_it_was_filled_with(text: str, data: st.DataObject) -> None:
    template = PathTemplate.parse(text)
    values = {name: quote(data.draw(SEGMENTS), safe="") for name in template.names}

    assert template.match(template.fill(values)) == values


@given(SEGMENTS)
def test_decodes_once_what_was_encoded_once(text: str) -> None:
    assert decode_as_written(quote(text, safe="")) == text
    assert decode(quote(text, safe="")) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        # KELVIN SIGN and OHM SIGN, which stand for a letter.
        ("%E2%84%AAEYS", "KEYS"),
        ("%E2%84%A6", "\u03a9"),
        # As macOS writes them: kana with a mark of its own, Hangul in pieces, Greek and its accent.
        ("%E3%82%AB%E3%82%99", "ガ"),
        ("%E1%84%92%E1%85%A1%E1%86%AB", "한"),
        ("%CE%B1%CC%81", "\u03ac"),
        ("%E1%BD%B1", "\u03ac"),
        ("cafe%CC%81", "caf\u00e9"),
        ("caf%C3%A9", "caf\u00e9"),
    ],
)
def test_what_was_decoded_is_in_one_form(raw: str, text: str) -> None:
    assert decode(raw) == text
    assert decode_variable("name", raw) == text


def test_no_character_becomes_a_separator_a_dot_or_a_control_character_in_nfc() -> None:
    # What is refused in a name is refused after it was normalized, and what separates names is
    # looked for before: both are right only as long as this holds.
    for number in range(0x80, sys.maxunicode + 1):
        text = unicodedata.normalize("NFC", chr(number)) if not 0xD800 <= number < 0xE000 else ""
        if text != chr(number):
            assert not CONTROL.search(text), hex(number)
            assert not set(text) & set("/\\.%"), hex(number)


@pytest.mark.parametrize("before", ["/", ".", "\\", "%"])
def test_nothing_composes_with_a_separator_a_dot_or_a_percent_sign(before: str) -> None:
    for number in range(0x80, sys.maxunicode + 1):
        if unicodedata.combining(chr(number)):
            assert unicodedata.normalize("NFC", before + chr(number))[0] == before, hex(number)


@pytest.mark.parametrize(
    "raw",
    [
        *(".", "..", "%2e", "%2E%2e", ".%2e"),
        # Encoded again, between backslashes, with parameters: a step for some server.
        *("%252e%252e", "%25252E%25252e", "%5C..%5C", "..%5Cx", "x%5c..", "x%255c..%255cy"),
        *("..;", "..;x=1", "..%3Bx", ".;", "..%253b", "..%252fadmin", "x%252F.."),
        *("%00", "a%0d%0aX:y", "a%09", "%7F", "%C2%85", "%C2%9f", "a%0A"),
        *("%E2%80%AEgnp", "%E2%81%A6x"),
    ],
)
def test_a_variable_is_no_step_and_has_no_control_character(raw: str) -> None:
    with pytest.raises(BadRequest, match="'tenant'"):
        decode_variable("tenant", raw)


@pytest.mark.parametrize(
    "raw",
    [
        *("t1", "a.b", "...", "..a", ".hidden", "a..", "x%3B..", "100%25", "%25", "C%23", "a%3Fb"),
        *("DOMAIN%5Cann", "a%252eb", "%E6%97%A5", "a%20b", ";", "a:b@c+d", "..%25"),
    ],
)
def test_a_variable_may_be_any_other_text(raw: str) -> None:
    assert decode_variable("tenant", raw) == decode(raw)


def test_looking_for_steps_takes_time_that_grows_with_the_text_alone() -> None:
    began = time.process_time()
    for text in ("%2525" * 1600, "%5c" * 2700, "..;" * 2700, "%5c..;" * 1300, "..%25" * 1600):
        with contextlib.suppress(BadRequest):
            decode_variable("tenant", text)

    assert time.process_time() - began < 1


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E)))
def test_decodes_any_raw_path_or_refuses_it(raw: str) -> None:
    try:
        text = decode(raw)
    except BadRequest:
        return
    assert text.count("/") == raw.count("/")


def test_decodes_no_second_time() -> None:
    assert decode("%252e%252e%252F") == "%2e%2e%2F"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("a%zz", "two hexadecimal digits"),
        ("a%", "two hexadecimal digits"),
        ("%1", "two hexadecimal digits"),
        ("a%2Fb", "encoded slash"),
        ("a%2fb", "encoded slash"),
        ("%ff", "not UTF-8"),
        ("%C0%AE", "not UTF-8"),
        ("%ED%A0%80", "not UTF-8"),
    ],
)
def test_refuses_what_cannot_be_decoded(raw: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        decode(raw)


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("/upload/{filepath}", "/upload/a/b%20c", {"filepath": "a/b%20c"}),
        ("/upload/{filepath}", "/upload/", None),
        ("/upload/{filepath}", "/upload", None),
        ("/upload/{filepath}", "/uploads/a", None),
        ("/v1/{a}/x/{filename}/file", "/v1/t/x/n/file", {"a": "t", "filename": "n"}),
        ("/v1/{a}/x/{filename}/file", "/v1/t/x/n/m/file", None),
        ("/v1/{a}/x/{filename}/file", "/v1//x/n/file", None),
        ("/v1/{a}.bin", "/v1/x.y.bin", {"a": "x.y"}),
        ("/v1/a.b", "/v1/aXb", None),
        ("/v1/(x)", "/v1/(x)", {}),
        ("/v1/x", "/v1/x\n", None),
        ("/{a}{b}v1/", "/v1/", None),
        ("/a{x}a", "/a", None),
        ("/{a}-{b}", "/x-y-z", {"a": "x-y", "b": "z"}),
        ("/{a}{b}{c}", "/xyz", {"a": "x", "b": "y", "c": "z"}),
    ],
)
def test_matches_whole_paths_only(template: str, path: str, values: dict[str, str] | None) -> None:
    assert PathTemplate.parse(template, rest="filepath").match(path) == values


@given(
    st.lists(st.sampled_from(["", "-", "a", "-a", "/"]), min_size=1, max_size=6),
    st.sampled_from(["", "-", "a", "-a-", "/", "/a"]),
    st.text(st.sampled_from("-a/"), max_size=14),
)
def test_finds_what_a_regular_expression_would(literals: list[str], end: str, path: str) -> None:
    numbered = [f"{literal}{{v{number}}}" for number, literal in enumerate(literals)]
    text = "/" + "".join([*numbered, end]).replace("//", "/").removeprefix("/")
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(text))
    found = re.fullmatch(pattern, f"/{path}")

    wanted = found.groupdict() if found else None
    assert PathTemplate.parse(text).match(f"/{path}") == wanted


@pytest.mark.parametrize("text", ["/v1/{year}-{month}-{day}.log", "/v1/{a}-{b}/{c}-{d}/x"])
def test_takes_no_longer_for_a_path_that_nearly_fits(text: str) -> None:
    template = PathTemplate.parse(text)
    began = time.perf_counter()

    assert template.match("/v1/" + "-" * 8000) is None
    assert template.match("/v1/" + "-" * 4000 + "/" + "-" * 4000) is None
    assert time.perf_counter() - began < 0.1


def test_the_rest_stands_last() -> None:
    for text in ("/{filepath}/x", "/x-{filepath}"):
        with pytest.raises(BadTemplate, match="the last segment"):
            PathTemplate.parse(text, rest="filepath")
    assert PathTemplate.parse("/{filepath}/x").match("/a/x") == {"filepath": "a"}


def test_templates_of_one_shape_differ_in_names_alone() -> None:
    shapes = [PathTemplate.parse(text).shape for text in ("/v1/{a}", "/v1/{b}", "/v1/{a}x")]

    assert shapes[0] == shapes[1] != shapes[2]


def test_an_encoded_slash_separates_nothing() -> None:
    assert PathTemplate.parse("/v1/{a}").match("/v1/x%2Fy") == {"a": "x%2Fy"}


def test_only_the_named_variable_takes_the_rest() -> None:
    assert PathTemplate.parse("/{filepath}").match("/a/b") is None
    assert PathTemplate.parse("/x/{name}", rest="filepath").rest is None
    assert PathTemplate.parse("/x/{filepath}", rest="filepath").rest == "filepath"


def test_keeps_its_names_in_order() -> None:
    assert PathTemplate.parse("/{b}/{a}").names == ("b", "a")


@pytest.mark.parametrize(
    "text",
    ["v1", "", "/v1//x", "/{a}/{a}", "/{1a}", "/{}", "/a}", "/{a", "/a b", "/%20", "/x?y", "/é"],
)
def test_refuses_a_template_that_matches_nothing(text: str) -> None:
    with pytest.raises(BadTemplate):
        PathTemplate.parse(text)


@given(st.text(max_size=30))
def test_reads_any_text_or_refuses_it(text: str) -> None:
    try:
        template = PathTemplate.parse(text)
    except BadTemplate as error:
        assert repr(text) in str(error)
    else:
        assert template.match(template.fill(dict.fromkeys(template.names, "v"))) is not None


@given(text=templates(separators=("/", "-", ".", "")), data=st.data())
def test_matches_as_a_greedy_regular_expression(text: str, data: st.DataObject) -> None:
    template = PathTemplate.parse(text)
    any_text = st.text("a/%.-\n", max_size=3)
    path = template.fill({name: data.draw(any_text) for name in template.names})
    path = data.draw(st.sampled_from([path, path + "/", path[1:], path.upper()]))
    pieces = re.split(r"\{(\w+)\}", text)
    pieces[::2] = map(re.escape, pieces[::2])
    pieces[1::2] = [f"(?P<{name}>[^/]+)" for name in pieces[1::2]]
    found = re.fullmatch("".join(pieces), path)

    assert template.match(path) == (found and found.groupdict())
