"""Digests of uploads."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.errors import BadRequest, Problem, Unprocessable
from qmonus_lite.headers import Headers
from qmonus_lite.uploads.digest import Digests


def field(name: str, data: bytes) -> str:
    digest = hashlib.new(name.replace("-", ""), data).digest()
    return f"{name}=:{base64.b64encode(digest).decode()}:"


@given(st.binary(max_size=100), st.sampled_from(["sha-256", "sha-512"]))
def test_takes_the_right_digest_and_no_other(data: bytes, name: str) -> None:
    right = Digests.read(Headers({"Repr-Digest": field(name, data)}))
    right.update(data)
    right.check()

    wrong = Digests.read(Headers({"Content-Digest": field(name, data)}))
    wrong.update(data + b"x")
    with pytest.raises(Unprocessable, match=f"{name} digest of Content-Digest"):
        wrong.check()


@pytest.mark.parametrize(
    "text",
    [
        field("sha-256", b"a") + ", unixsum=:AAA=:",
        "sha=:AAAA: ,\t" + field("sha-256", b"a"),
        field("sha-256", b"x") + "," + field("sha-256", b"a"),
        field("sha-256", b"a") + ";q=1;x",
        field("sha-256", b"a") + """;a="x, \\"y";b=:AA==:;c=?1;d=@1;e=-1.5;f=a/b'!;g=%"%c3%bc" """,
        field("sha-256", b"a").replace("=:", ":").replace(":", "=:", 1),
        'x=1, y;z=2, list=("a" b;c=1  2), t="a,b" , ' + field("sha-256", b"a"),
        "",
    ],
)
def test_reads_what_rfc_9530_allows(text: str) -> None:
    digests = Digests.read(Headers({"Repr-Digest": text}))
    digests.update(b"a")

    digests.check()


@pytest.mark.parametrize(
    "text",
    [
        ",",
        "sha-256",
        "sha-256=1",
        "sha-256=(:AAAA:)",
        field("sha-256", b"a") + ",",
        field("sha-256", b"a") + ';x="',
        field("sha-256", b"a") + " x",
        field("sha-256", b"a") + ", x=1234567890123456",
        "sha-256=",
        "SHA-256=:AAAA:",
        "sha-256=:AAAA:",
        "sha-256=:A:",
        "x y=:AA==:",
    ],
)
def test_refuses_what_is_no_digest(text: str) -> None:
    with pytest.raises(BadRequest, match="Repr-Digest"):
        Digests.read(Headers({"Repr-Digest": text}))


@given(st.text(max_size=60), st.sampled_from(["Repr-Digest", "Content-MD5", "Want-Repr-Digest"]))
def test_reads_any_field_or_refuses_it(text: str, name: str) -> None:
    try:
        Digests.read(Headers({name: text})).update(b"a")
    except Problem as problem:
        assert problem.status in {400, 422}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sha-256=1", "sha-256"),
        ("sha-512=3, sha-256=10", "sha-256"),
        ("sha-512=3, sha-256=2, unixsum=10", "sha-512"),
        ("sha-256=0", None),
        ("sha-256=11", None),
        ("sha-256", None),
        ("sha-256=1, ?", None),
        ("sha-256=10, foo", "sha-256"),
        ("sha-256=10, foo=(a b), bar=:AA==:", "sha-256"),
        ('sha-256=3;reason="a, b", sha-512=1.5', "sha-256"),
        ("sha-256=2, sha-256=x", None),
        ("md5=9", None),
        ("", None),
    ],
)
def test_gives_the_digest_that_is_wanted_most(text: str, name: str | None) -> None:
    digests = Digests.read(Headers({"Want-Repr-Digest": text}))
    digests.update(b"a")

    assert digests.field == (name and field(name, b"a"))
    wanted = hashlib.sha256(b"a").hexdigest() if name == "sha-256" else None
    assert digests.sha256 == wanted
