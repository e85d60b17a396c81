"""Headers: one form of a name, however it is asked for."""

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from qmonus_lite.headers import Headers

CASES = ["X-Auth-Token", "x-auth-token", "X-AUTH-TOKEN", "x-Auth-tOken"]


@pytest.mark.parametrize("name", CASES)
def test_finds_a_header_in_any_case(name: str) -> None:
    headers = Headers({"x-auth-TOKEN": "t"})

    assert headers[name] == headers.get(name) == headers.pop(name) == "t"
    assert name not in headers


@pytest.mark.parametrize("name", CASES)
def test_writes_a_header_in_any_case(name: str) -> None:
    headers = Headers(X="1")
    headers[name] = "a"
    headers.update({name.lower(): "b"})

    assert headers.setdefault(name, "c") == "b"
    assert list(headers) == ["X", "X-Auth-Token"]
    del headers[name]
    assert headers == {"X": "1"}


def test_takes_what_a_dict_takes() -> None:
    wanted = {"Accept": "*/*", "Te": "x"}

    assert Headers([("accept", "*/*"), ("te", "x")]) == wanted
    assert Headers({"accept": "*/*"}, te="x") == wanted
    assert Headers(Headers(wanted)) == wanted
    assert Headers.fromkeys(["accept"], "*/*") == {"Accept": "*/*"}


def test_the_last_of_two_spellings_wins_like_a_key_given_twice() -> None:
    assert Headers({"accept": "a", "ACCEPT": "b"}) == {"Accept": "b"}


def test_is_plain_json() -> None:
    assert json.loads(json.dumps(Headers(accept="*/*"))) == {"Accept": "*/*"}


def test_copies_and_unions_stay_without_regard_to_case() -> None:
    headers = Headers(accept="*/*")
    made = [
        headers.copy(),
        copy.copy(headers),
        copy.deepcopy(headers),
        pickle.loads(pickle.dumps(headers)),
        headers | {"te": "x"},
        {"te": "x"} | headers,
    ]
    headers |= {"te": "x"}

    assert [fields["ACCEPT"] for fields in [*made, headers]] == ["*/*"] * 7
    assert [fields.get("TE") for fields in made] == [None] * 4 + ["x"] * 2
    assert headers["TE"] == "x"


def test_a_union_with_no_dict_is_refused() -> None:
    with pytest.raises(TypeError):
        Headers() | [("a", "b")]


def test_what_is_no_text_is_not_there() -> None:
    headers = Headers(accept="*/*")

    assert None not in headers
    assert headers.get(5, "none") == "none"  # type: ignore[call-overload]
    assert headers.pop("Te", None) is None
    with pytest.raises(KeyError):
        headers.pop("Te")


def test_joins_fields_of_one_name_with_a_comma() -> None:
    headers = Headers.combined([("Via", "a"), ("VIA", "b"), ("Accept", "*/*")])

    assert headers == {"Via": "a, b", "Accept": "*/*"}


@given(st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}", fullmatch=True))
def test_has_the_form_that_tornado_has(name: str) -> None:
    assert list(Headers({name: "x"})) == list(HTTPHeaders({name: "x"}))
