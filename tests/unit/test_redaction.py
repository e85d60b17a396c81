"""Secrets in whatever form they come."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote

import jwt
import pytest

from qmonus_lite import redaction
from qmonus_lite.auth.apikey import new_key
from qmonus_lite.redaction import MASK, register_secret

SECRET = 'pä"ss\\wö/rd +1'


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redaction, "_secrets", redaction._Secrets())
    yield


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        repr(SECRET)[1:-1],
        quote(SECRET),
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
    ],
)
def test_masks_a_value_in_every_form_of_writing(form: str) -> None:
    register_secret(SECRET)

    assert redaction.redact(f"before {form} after") == f"before {MASK} after"


def test_masks_the_lines_of_a_long_value_alone() -> None:
    register_secret("-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nshort\n")

    assert "MIIEvQIBADANBgkq" not in redaction.redact("line: MIIEvQIBADANBgkq")


def test_masks_keys_and_tokens_that_are_not_registered() -> None:
    token = jwt.encode({"sub": "kim"}, b"k" * 32, algorithm="HS256")

    assert redaction.redact(f"{new_key()} {token}.") == f"{MASK} {MASK}."


def test_leaves_other_text_and_short_values_alone() -> None:
    register_secret("abc")
    register_secret("")

    assert redaction.redact("abc qml_x eyJhbGci a.b.c") == "abc qml_x eyJhbGci a.b.c"


def test_the_longer_of_two_values_is_masked_whole() -> None:
    register_secret("secret")
    register_secret("secret-and-more")

    assert redaction.redact("secret-and-more secret") == f"{MASK} {MASK}"


@pytest.mark.parametrize("user", ["", "ann:", "a long name:"])
def test_masks_a_key_of_ours_in_a_basic_credential(user: str) -> None:
    pair = base64.b64encode(f"{user}{new_key()}".encode()).decode()

    assert redaction.redact(f"Authorization: Basic {pair}, x") == f"Authorization: Basic {MASK}, x"
    assert redaction.redact(f"BASIC  {pair}") == f"BASIC  {MASK}"
    assert redaction.redact("Basic authentication is no credential") == (
        "Basic authentication is no credential"
    )
