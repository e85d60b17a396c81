"""Signatures, both ways."""

import base64
import hmac
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from qmonus_lite.transports.http.signature import ID, SIGNATURE, TIMESTAMP, BadSignature, Signer
from tests.unit.events.worker_setup import SIGNER, STRANGER

BODY = '{"名": 1}'.encode()


def signed(signer: Signer = SIGNER, message_id: str = "e1", body: bytes = BODY) -> dict[str, str]:
    return signer.sign(message_id, body)


def test_knows_its_own_signature_and_gives_the_id() -> None:
    assert SIGNER.verify(signed(), BODY) == "e1"


def test_others_that_speak_standard_webhooks_understand_it() -> None:
    theirs = Webhook(base64.b64encode(b"e" * 32).decode())
    theirs.verify(BODY, signed())


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (signed(STRANGER), BODY),
        (signed(), BODY + b" "),
        (signed(), b""),
        (signed(), b"\xff"),
        (signed() | {ID: "e2"}, BODY),
        (signed() | {ID: ""}, BODY),
        (signed() | {TIMESTAMP: str(int(time.time()) + 1)}, BODY),
        ({}, BODY),
    ],
)
def test_refuses_what_was_signed_otherwise(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(BadSignature):
        SIGNER.verify(headers, body)


@pytest.mark.parametrize("name", [ID, TIMESTAMP, SIGNATURE])
@pytest.mark.parametrize(
    "value",
    [
        "", " ", ",", "v1", "v1,", "v1,=", "v1,A", "v1,é", "v2,AAAA", "v1,AAAA,BBBB", "v1 v1",
        "nan", "inf", "-1", "1e400", "9" * 500, "abc", "\0", "日本", "\udcff", "x" * 10_000,
    ],
)  # fmt: skip
def test_refuses_malformed_headers(name: str, value: str) -> None:
    with pytest.raises(BadSignature):
        SIGNER.verify(signed() | {name: value}, BODY)


@given(st.dictionaries(st.sampled_from([ID, TIMESTAMP, SIGNATURE]), st.text(), min_size=1))
def test_any_headers_may_come(headers: dict[str, str]) -> None:
    good = signed()
    if good | headers == good:
        return
    with pytest.raises(BadSignature):
        SIGNER.verify(good | headers, BODY)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_refuses_what_is_too_old_or_too_new(seconds: int) -> None:
    moment = int(time.time()) + seconds
    theirs = Webhook(base64.b64encode(b"e" * 32).decode())
    value = theirs.sign("e1", datetime.fromtimestamp(moment, UTC), BODY.decode())
    with pytest.raises(BadSignature):
        SIGNER.verify({ID: "e1", TIMESTAMP: str(moment), SIGNATURE: value}, BODY)


def test_takes_one_of_several_signatures() -> None:
    good = signed()
    good[SIGNATURE] = f"v1,{base64.b64encode(b'x' * 32).decode()} {good[SIGNATURE]}"

    assert SIGNER.verify(good, BODY) == "e1"


@pytest.mark.parametrize("size", [1, 32, 64, 65, 200])
def test_the_signature_is_hmac_sha256_with_a_secret_of_any_size(size: int) -> None:
    secret = bytes(range(size))
    headers = Signer(secret).sign("e1", BODY)
    signed_text = f"e1.{headers['webhook-timestamp']}.".encode() + BODY
    wanted = base64.b64encode(hmac.digest(secret, signed_text, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
