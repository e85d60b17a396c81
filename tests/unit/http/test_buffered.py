"""Which requests are plain uploads, and that Tornado would read them no other way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.http.buffered import MAX_BUFFERED_BODY_BYTES, MAX_HEAD_BYTES, parse_plain_put
from tests.fuzz.targets import whole

PLAIN = b"PUT /upload/a/b.txt?x=1&y HTTP/1.1\r\nHost: apigw:8080\r\nContent-Length: 5\r\n\r\n"


def plain(*fields: bytes, line: bytes = b"PUT /upload/a HTTP/1.1", length: bytes = b"5") -> bytes:
    lines = [line, b"Host: apigw", b"Content-Length: " + length, *fields]
    return b"\r\n".join([*lines, b"", b""])


def test_a_plain_put_is_known_with_all_that_it_says() -> None:
    put = parse_plain_put(PLAIN + b"hello" + PLAIN)

    assert put is not None
    assert put.head.target == "/upload/a/b.txt?x=1&y"
    assert put.head.fields == (("Host", "apigw:8080"), ("Content-Length", "5"))
    assert (put.size, put.total) == (len(PLAIN), len(PLAIN) + 5)


@pytest.mark.parametrize(
    "field",
    [
        b"X-Auth-Token: a.b.c",
        b"Authorization:Bearer  a b",
        b"x_odd-name: \t spaces around \t ",
        b"Accept: */*",
        b"X-Forwarded-For: 1.2.3.4, 5.6.7.8",
        b"If-None-Match: *",
        b"Connection: Keep-Alive",
        # What a rule refuses is not the parser's business.
        b"Content-Range: bytes 0-4/10",
        b"X-Many: 1" + b"\r\nX-Many: 1" * 100,
    ],
)
def test_fields_of_all_sorts_are_plain(field: bytes) -> None:
    assert parse_plain_put(plain(field)) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN[:-2],
        plain().replace(b"\r\n", b"\n"),
        b"\r\n" + plain(),
        plain(line=b"put /upload/a HTTP/1.1"),
        plain(line=b"POST /upload/a HTTP/1.1"),
        plain(line=b"PUT /upload/a HTTP/1.0"),
        plain(line=b"PUT /upload/a  HTTP/1.1"),
        plain(line=b"PUT http://apigw/upload/a HTTP/1.1"),
        plain(line=b"PUT /upload/a#b HTTP/1.1"),
        plain(line="PUT /upload/ä HTTP/1.1".encode()),
        plain(line=b"PUT /upload/" + MAX_HEAD_BYTES * b"a" + b" HTTP/1.1"),
        plain(length=b"05"),
        plain(length=b"+5"),
        plain(length=b"5, 5"),
        plain(length=str(MAX_BUFFERED_BODY_BYTES + 1).encode()),
        plain(b"Content-Length: 5"),
        plain(b"Host: other"),
        plain(b"Transfer-Encoding: chunked"),
        plain(b"Expect: 100-continue"),
        plain(b"Connection: close"),
        plain(b"Connection: keep-alive, x"),
        plain(b"Connection: keep-alive", b"Connection: keep-alive"),
        plain(b"Upgrade: h2c"),
        plain(b"X-Empty:"),
        plain(b"X-Empty: "),
        plain(b"X-No-Colon"),
        plain(b"X-Space : 1"),
        plain(b" folded: 1"),
        plain("X-Name: ä".encode()),
        plain(b"X-Nul: a\0b"),
        plain(b"X-Bare: a\rb"),
        PLAIN.replace(b"Host: apigw:8080\r\n", b""),
        PLAIN.replace(b"apigw:8080", b"apigw, other"),
        PLAIN.replace(b"apigw:8080", b"user@apigw"),
        PLAIN.replace(b"Content-Length: 5\r\n", b""),
    ],
)
def test_all_else_is_left_to_tornado(data: bytes) -> None:
    assert parse_plain_put(data) is None


FIELDS = st.builds(
    lambda *parts: b"".join(parts),
    st.sampled_from([b"X-A", b"x_b", b"Cookie", b"ACCEPT", b"authorization"]),
    st.sampled_from([b":", b": ", b":\t "]),
    st.sampled_from([b"a", b"a b", b"x, y", b"keep-alive", b"*", b'"q\\"']),
    st.sampled_from([b"", b" ", b"\t "]),
)
TARGETS = st.sampled_from([b"/a", b"/", b"/%41?b&c", b"/-/live", b"/'\"<>[]{}|\\^`"])
HOSTS = st.sampled_from([b"apigw", b"[::1]:80", b"1.2.3.4", b"a-b.c:8080"])

ODD_FIELDS = st.builds(
    lambda *parts: b"".join(parts),
    st.sampled_from([b"Host", b"Content-Length", b"X-A", b"connection", b"A:b", b"a ", b""]),
    st.sampled_from([b":", b": ", b":\x0b", b":\xa0", b":\r\n ", b":\n", b""]),
    st.one_of(st.sampled_from([b"apigw", b"5", b"0", b"close", b"keep-alive"]), st.binary()),
)
ODD_TARGETS = st.one_of(st.sampled_from([b"/a?b#c", b"//a", b"*", b"/a b"]), st.binary(max_size=6))
ODD_HOSTS = st.one_of(
    st.sampled_from([b"a:80:80", b"..", b"a:", b"[a]", b"-", b"a,b", b"[::::]", b"[::1]:"]),
    st.text("a.:[]-0", max_size=6).map(str.encode),
)


def heads(
    targets: st.SearchStrategy[bytes],
    hosts: st.SearchStrategy[bytes],
    fields: st.SearchStrategy[bytes],
) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda target, host, more: (
            PLAIN.replace(b"/upload/a/b.txt?x=1&y", target)
            .replace(b"apigw:8080", host)
            .replace(b"\r\n\r\n", b"\r\n".join([b"", *more, b"", b""]))
        ),
        targets,
        hosts,
        st.lists(fields, max_size=3),
    )


@given(heads(TARGETS, HOSTS, FIELDS), st.binary(max_size=10))
def test_what_clients_send_is_known_and_reads_the_same_to_tornado(
    head: bytes, behind: bytes
) -> None:
    assert parse_plain_put(head + behind) is not None
    whole(head + behind)


@given(
    st.one_of(
        heads(TARGETS, HOSTS, ODD_FIELDS),
        heads(TARGETS, ODD_HOSTS, FIELDS),
        heads(ODD_TARGETS, HOSTS, FIELDS),
    )
)
def test_what_is_odd_is_not_known_or_reads_the_same(head: bytes) -> None:
    whole(head)
