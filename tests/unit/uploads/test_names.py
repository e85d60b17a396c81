"""Names that may be stored."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.uploads.names import (
    MAX_PART_BYTES,
    MAX_PARTS,
    MAX_PATH_BYTES,
    RESERVED,
    BadName,
    parts_of,
)


@pytest.mark.parametrize(
    "path",
    [
        "/upload/a",
        "/a b/c",
        "/a;b=c",
        "/a+b",
        "/a:b",
        "/~",
        "/-rf",
        "/100%",
        "/%2e%2e",
        "/日本語/ファイル.tar.gz",
        "/.hidden",
        "/..a",
        "/a..b",
        "/CON",
        "/😀",
        "/" + "a" * MAX_PART_BYTES,
        "/" + "あ" * 85,
        "/" + "/".join("a" * MAX_PARTS),
        "/" + "/".join(["a" * 204] * 5),
    ],
)
def test_takes_ordinary_names(path: str) -> None:
    assert "/" + "/".join(parts_of(path)) == path


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "does not start with a slash"),
        ("upload/a", "does not start with a slash"),
        ("/", "empty"),
        ("//a", "empty"),
        ("/a//b", "empty"),
        ("/a/", "empty"),
        ("/.", "'.'"),
        ("/..", "'..'"),
        ("/a/../b", "'..'"),
        ("/a/./b", "'.'"),
        ("/a.", "dot or a space"),
        ("/a ", "dot or a space"),
        ("/...", "dot or a space"),
        ("/a./b", "dot or a space"),
        ("/a\\..\\b", "backslash"),
        ("/a\0b", "control"),
        ("/a\r\nb", "control"),
        ("/a\tb", "control"),
        ("/a\x7fb", "control"),
        ("/a\x85b", "control"),
        ("/a\u202eb", "control"),
        ("/a\u2066b", "direction mark"),
        ("/a\u061cb", "direction mark"),
        ("/a\u200eb", "direction mark"),
        ("/a\u200fb", "direction mark"),
        ("/a\ud800b", "control"),
        (f"/{RESERVED}", "reserved"),
        (f"/a/{RESERVED.upper()}-x/b", "reserved"),
        ("/" + "a" * (MAX_PART_BYTES + 1), "longer than 255 bytes"),
        ("/" + "あ" * 86, "longer than 255 bytes"),
        ("/" + "/".join("a" * (MAX_PARTS + 1)), "more than 32 parts"),
        ("/" + "/".join(["a" * 250] * 5), f"longer than {MAX_PATH_BYTES} bytes"),
    ],
)
def test_refuses_names_that_lie_or_lead_astray(path: str, reason: str) -> None:
    with pytest.raises(BadName, match=reason):
        parts_of(path)


def test_one_name_in_two_spellings_is_one_name() -> None:
    composed, decomposed = "/\u304c\u00e9", "/\u304b\u3099e\u0301"

    assert parts_of(decomposed) == parts_of(composed) == ("\u304c\u00e9",)


@given(st.text(st.characters(exclude_categories=[]), max_size=40))
def test_what_it_takes_can_be_a_file_and_is_taken_again(text: str) -> None:
    try:
        parts = parts_of("/" + text)
    except BadName as error:
        assert str(error)
        return
    again = "/".join(parts)
    assert parts_of("/" + again) == parts
    assert unicodedata.is_normalized("NFC", again)
    for part in parts:
        assert part not in {"", ".", ".."}
        assert not set(part) & set("/\\\0\n\r")
        assert 0 < len(part.encode()) <= MAX_PART_BYTES


def test_names_are_the_same_in_either_form() -> None:
    assert parts_of("/upload/\u212aEYS/\u30ab\u3099") == ("upload", "KEYS", "ガ")
