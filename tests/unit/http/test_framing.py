"""The rules for heads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.errors import Problem
from qmonus_lite.http import framing
from qmonus_lite.http.framing import RequestHead, origin_form

TOKENS = st.text(st.sampled_from("abcXYZ-019"), min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=20)
LENGTHS = st.sampled_from(["0", "5", "05", "+5", "-1", "5,5", "", "5 ", "1e3", "\xb2", "9" * 30])
CODINGS = st.sampled_from(
    ["chunked", "Chunked", "gzip, chunked", "identity", "", "chunked, chunked"]
)
FIELDS = st.one_of(
    st.tuples(TOKENS, VALUES),
    st.tuples(st.just("Content-Length"), LENGTHS | VALUES),
    st.tuples(st.just("Transfer-Encoding"), CODINGS | VALUES),
    st.tuples(st.just("Expect"), st.sampled_from(["100-continue", "100-Continue", "x"])),
)
HEADS = st.builds(
    RequestHead,
    method=TOKENS,
    target=st.one_of(st.just("/upload/a"), VALUES),
    version=st.sampled_from(["HTTP/1.0", "HTTP/1.1", "HTTP/1.9"]),
    fields=st.lists(FIELDS, max_size=5).map(tuple),
)


def head(*fields: tuple[str, str], target: str = "/a", version: str = "HTTP/1.1") -> RequestHead:
    return RequestHead(method="PUT", target=target, version=version, fields=fields)


@given(HEADS)
def test_a_head_that_passes_says_exactly_where_its_request_ends(given: RequestHead) -> None:
    try:
        framing.check_framing(given)
    except Problem as problem:
        assert 400 <= int(problem.status) < 600
        return

    codings, lengths = given.values("transfer-encoding"), given.values("content-length")
    assert len(codings) + len(lengths) <= 1
    assert all(coding.lower() == "chunked" for coding in codings)
    assert all(str(int(length)) == length for length in lengths)
    assert given.version == "HTTP/1.1" or not codings
    assert given.body_follows == (bool(codings) or given.length not in (None, 0))
    assert given.target.startswith("/") and given.target.isascii()


@given(HEADS)
def test_a_body_that_may_follow_is_seen_whatever_else_is_wrong(given: RequestHead) -> None:
    framed = {"content-length", "transfer-encoding"}
    named = [value for name, value in given.fields if name.lower() in framed and value != "0"]

    assert given.body_follows or not named


@pytest.mark.parametrize(
    ("fields", "waits"),
    [
        ((("Expect", "100-Continue"), ("Content-Length", "5")), True),
        ((("Expect", "100-continue"), ("Transfer-Encoding", "chunked")), True),
        ((("Expect", "100-continue"), ("Content-Length", "0")), False),
        ((("Expect", "100-continue"),), False),
        ((("Content-Length", "5"),), False),
    ],
)
def test_knows_who_waits(fields: tuple[tuple[str, str], ...], waits: bool) -> None:
    assert head(*fields).waits is waits
    assert not head(*fields, version="HTTP/1.0").waits


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        ("http://h:1/a?b", "/a?b"),
        ("HTTP://H:1/a", "/a"),
        ("http://h:1", "/"),
        ("http://h:2/a", "http://h:2/a"),
        ("http://u@h:1/a", "http://u@h:1/a"),
        ("http://[::1/a", "http://[::1/a"),
        ("/a", "/a"),
        ("*", "*"),
    ],
)
def test_finds_the_path_behind_our_own_host(target: str, origin: str) -> None:
    assert origin_form(target, "h:1") == origin


@given(VALUES, VALUES)
def test_reads_any_target(target: str, host: str) -> None:
    found = origin_form(target, host)

    assert found == target or found.startswith(("/", "?", "#")) or found == "/"
