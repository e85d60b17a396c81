"""Requests byte for byte: framing, heads, names, conditions, and bodies that a door keeps."""

import base64
import hashlib

from tests.acceptance.edge.raw import chunked, put, request
from tests.acceptance.edge.table.row import Table

MIB = 1 << 20
#: --max_upload_bytes of the installation that the table is driven against.
MOST_UPLOAD = 4 * MIB


def length(value: str, *fields: str) -> bytes:
    """A PUT with this Content-Length and five bytes."""
    return request("PUT", "/upload/x", f"Content-Length: {value}", *fields, body=b"hello")


def coded(value: str, *, name: str = "Transfer-Encoding:") -> bytes:
    """A PUT with this transfer coding and a body in chunks."""
    return request("PUT", "/upload/x", f"{name} {value}", body=CHUNKS)


CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"

FRAMING = Table()
_ = FRAMING
_.shut("B01", "no length", request("PUT", "/upload/x", "Connection: close"), 411)
_.shut("B02", "no length, 1.0", request("PUT", "/upload/x", body=b"hello", version="HTTP/1.0"), 411)
_.good("B03", "1.0", put("/upload/b03", version="HTTP/1.0"), "upload/b03", closes=True)
_.shut(
    "B04",
    "1.0 in chunks",
    request("PUT", "/upload/x", "Transfer-Encoding: chunked", body=CHUNKS, version="HTTP/1.0"),
    400,
)
_.shut("B05", "length and chunks", chunked("/upload/x", CHUNKS, "Content-Length: 15"), 400)
_.shut("B06", "two codings", chunked("/upload/x", CHUNKS, "Transfer-Encoding: chunked"), 400)
_.shut("B06", "two codings in one field", coded("chunked, chunked"), 400)
_.shut("B07", "gzip, chunked", coded("gzip, chunked"), 501)
for _coding in ("identity", "xchunked", "chunked;q=1", ""):
    _.shut("B08", f"coding {_coding!r}", coded(_coding), 501)
_.good(
    "B09",
    "chunked in any case",
    request("PUT", "/upload/b09", "Transfer-Encoding: ChUnKeD", body=CHUNKS),
    "upload/b09",
)
_.shut("B10", "VT before the coding", coded("\x0bchunked"), 400)
_.shut("B11", "space before the colon", coded("chunked", name="Transfer-Encoding :"), 400)
_.shut("B12", "length twice, equal", length("5", "Content-Length: 5"), 400)
_.shut("B12", "length twice in one field", length("5, 5"), 400)
_.shut("B13", "length twice, different", length("5", "Content-Length: 6"), 400)
for _length in ("+5", "-1", "1_0", "0x5", "5.0", "", "\xb2", "5 5", "five"):
    _.shut("B14", f"length {_length!r}", length(_length), 400)
_.shut("B15", "length 00005", length("00005"), 400)
_.shut("B16", "length 10^30", length("1" + "0" * 30), 413)
_.shut("B17", "length of 5000 digits", length("1" * 5000), 400)
_.shut("B18", "too long", put("/upload/x", body=bytes(MOST_UPLOAD + 1)), 413)
_.shut("B18", "too long in chunks", chunked("/upload/x", b"500000\r\n" + bytes(5 * MIB)), 413)
_.shut("B19", "too long, waits", length(str(MOST_UPLOAD + 1), "Expect: 100-continue"), 413)
_.bad("B20", "shorter than its length", length("9"), ends=True)
_.good(
    "B21",
    "longer than its length",
    put("/upload/b21") + b"more\r\n\r\n",
    "upload/b21",
    *(201, 400),
    closes=True,
)
for _size in ("zz", "0x5", "-5", "", "5 "):
    _sent = _size.encode() + b"\r\nhello\r\n0\r\n\r\n"
    _.shut("B22", f"chunk size {_size!r}", chunked("/upload/x", _sent), 400)
_.shut("B23", "chunk size 2^64-1", chunked("/upload/x", b"F" * 16 + b"\r\nhello"), 400)
_.shut("B24", "chunk extension", chunked("/upload/x", b"5;a=b\r\nhello\r\n0\r\n\r\n"), 400)
_.shut("B25", "no CRLF after a chunk", chunked("/upload/x", b"5\r\nhelloXX0\r\n\r\n"), 400)
_.shut("B26", "chunk lines end with LF", chunked("/upload/x", b"5\nhello\n0\n\n"), 400)
_.shut("B26", "silent body", length("9"), 408)
_.shut("B27", "trailers", chunked("/upload/x", b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"), 400)
_.shut("B28", "long chunk extension", chunked("/upload/x", b"5;" + b"a" * 200 + b"\r\nhello"), 400)
_.shut("B28", "long chunk size", chunked("/upload/x", b"0" * 200 + b"5\r\nhello\r\n"), 400)
_.bad("B29", "no last chunk", chunked("/upload/x", b"5\r\nhello\r\n"), ends=True)
_.good(
    "B30",
    "chunks of one byte",
    chunked("/upload/b30", b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n"),
    "upload/b30",
)
_.good(
    "B31",
    "Expect in capitals",
    put("/upload/b31", "Expect: 100-Continue"),
    "upload/b31",
    *(100, 201),
)
for _word in ("200-maybe", "", "100-continue, 100-continue"):
    _.shut("B32", f"Expect {_word!r}", put("/upload/x", f"Expect: {_word}"), 417)
_.good(
    "B33",
    "Expect with 1.0",
    put("/upload/b33", "Expect: 100-continue", version="HTTP/1.0"),
    "upload/b33",
)
_.good(
    "B34",
    "Expect and no byte",
    put("/upload/b34", "Expect: 100-continue", body=b""),
    "upload/b34",
)
_.shut("B35", "a part", put("/upload/x", "Content-Range: bytes 0-4/10"), 400)
_.shut("B36", "pipelined behind a refused one", length("+5") + put("/upload/b36"), 400)
_.shut("B36", "pipelined behind a name", put("/upload/..") + put("/upload/b36"), 400)

HEADS = Table()
_ = HEADS


def head(*lines: str, end: str = "\r\n\r\n") -> bytes:
    """These lines as they are, and five bytes."""
    return "\r\n".join(lines).encode("latin-1") + end.encode() + b"hello"


_LINE, _FIVE = "PUT /upload/x HTTP/1.1", "Content-Length: 5"
_.shut("B40", "no Host", head(_LINE, _FIVE), 400)
_.shut("B40", "two Hosts", put("/upload/x", "Host: other"), 400)
_.shut("B40", "a Host with a space", head(_LINE, "Host: a b", _FIVE), 400)
_.shut("B41", "empty Host", head(_LINE, "Host:", _FIVE), 400)
_.shut("B42", "the target has another host", put("http://evil/upload/x"), 400)
_.shut("B42", "no host in the target", put("http:///upload/x"), 400)
_.good("B42", "the target has our host", put("http://edge/upload/b42"), "upload/b42")
_.shut("B43", "target *", put("*"), 400)
_.shut("B43", "target without a slash", put("upload/x"), 400)
_.shut("B44", "method put", request("put", "/upload/x", _FIVE, body=b"hello"), 405)
for _method in ("FOO", "TRACE", "CONNECT", "FINISH", "PROPFIND"):
    _.shut("B45", f"method {_method}", request(_method, "/upload/x", _FIVE, body=b"hello"), 405)
_.shut("B46", "a method that is no token", request("P(UT", "/upload/x"), 400)
_.shut("B47", "HTTP/2.0", put("/upload/x", version="HTTP/2.0"), 400)
# The answer is in frames of HTTP/2.
_.bad("B47", "preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ends=True)
_.bad("B47", "HTTP/0.9", b"GET /upload/x\r\n", ends=True)
_.shut("B47", "hello of TLS", bytes.fromhex("16030100c4010000c00303") + bytes(64), 400)
_.shut("B48", "HTTP/1.9", put("/upload/x", version="HTTP/1.9"), 505)
_.good(
    "B49",
    "lines that end with LF",
    b"PUT /upload/b49 HTTP/1.1\nHost: edge\nContent-Length: 5\n\nhello",
    "upload/b49",
)
for _what, _field in {
    "CR in a field": "A: b\rc",
    "NUL in a field": "A: b\0c",
    "a folded field": "A: b\r\n c",
    "no colon": "A",
    "no name": ": b",
    "a space in a name": "A b: c",
}.items():
    _.shut("B50", _what, put("/upload/x", _field), 400)
_.shut("B51", "20 KiB of fields", put("/upload/x", *[f"A: {'b' * 1000}"] * 20), 431)
_.shut("B51", "one field of 20 KiB", put("/upload/x", f"A: {'b' * 20_000}"), 431)
_.bad("B52", "70 KiB of fields", put("/upload/x", *[f"A: {'b' * 1000}"] * 70))
_.shut("B53", "6000 fields", put("/upload/x", *["A: b"] * 6000), 431)
_.shut("B54", "a target of 60 KB", put("/upload/" + "x" * 60_000), 414)
_.shut("B54", "a target of 8 KiB", put("/upload/x?" + "x" * 8192), 414)
_.shut("B55", "bytes beyond ASCII", put("/upload/caf\xc3\xa9"), 400)
for _char in (" ", "\0", "\x07", "\t"):
    _.shut("B56", f"{_char!r} in the target", put(f"/upload/a{_char}b"), 400)
_.shut("B57", "a fragment", put("/upload/x#y"), 400)
_.good("B58", "an empty line before it", b"\r\n" + put("/upload/b58"), "upload/b58")
_.shut("B58", "two empty lines before it", b"\r\n\r\n" + put("/upload/x"), 400)
_.good("B59", "close, x", put("/upload/b59", "Connection: close, x"), "upload/b59", closes=True)
_.good("B60", "Upgrade", put("/upload/b60", "Upgrade: h2c"), "upload/b60")
_.good("B61", "no gzip at all", put("/upload/b61", "Content-Encoding: gzip"), "upload/b61")
_.shut("B62", "10,000 arguments", put("/upload/x?" + "&".join(["a"] * 10_000)), 400)
_.shut("B62", "1,001 arguments", put("/upload/x?" + "&".join(["a"] * 1001)), 400)
for _field in (
    "X-Forwarded-For: 203.0.113.9, 127.0.0.1",
    "X-Real-Ip: 127.0.0.1",
    "Forwarded: for=127.0.0.1",
):
    _.bad("B63", _field, request("GET", "/-/plugins", _field), 401)
for _method in ("DELETE", "GET", "POST", "PATCH"):
    _.shut(
        "B64", f"{_method} with a body", request(_method, "/upload/x", _FIVE, body=b"hello"), 405
    )
for _method in ("HEAD", "OPTIONS"):
    _.bad("B65", _method, request(_method, "/upload/x", "Connection: close"), 405)

NAMES = Table()
_ = NAMES
_E = "%E3%81%82"
for _id, _paths in {
    "B70": ["/upload/../../etc/passwd", "/upload/a/../b"],
    "B71": ["/upload/%2e%2e/%2e%2e/etc/passwd", "/upload/.%2e/x", "/upload/%2E"],
    "B73": ["/upload/a%2Fb", "/upload/a%2fb"],
    "B74": ["/upload/a%5C..%5Cb", "/upload/a\\b"],
    "B75": ["/upload/a%00b", "/upload/%00"],
    "B76": ["/upload/%ff", "/upload/%C0%AE", "/upload/%ED%A0%80"],
    "B77": ["/upload/a%zz", "/upload/a%", "/upload/%1"],
    "B78": ["/upload/a%0d%0ab", "/upload/%07", "/upload/%7f", "/upload/%C2%85"],
    "B79": ["/upload//x", "/upload/a//b", "/upload/a/"],
    "B80": ["/upload/.", "/upload/.."],
    "B81": ["/upload/" + "a" * 256, "/upload/" + _E * 86],
    "B82": ["/upload" + "/a" * 32, "/upload/" + "/".join(["a" * 200] * 5) + "/" + "b" * 14],
    "B83": ["/upload/.qmonus-lite/x", "/upload/.QMONUS-Lite-staging/x"],
    "B85": ["/upload/%E2%80%AEx", "/upload/a%E2%81%A6"],
    "B86": ["/upload/a.", "/upload/a%20"],
    "B91": ["//evil/x", "//upload/x"],
}.items():
    for _path in _paths:
        _.bad(_id, _path[:40], put(_path), 400)
_.bad("B79", "/upload/", put("/upload/"), 404)
_.good("B72", "decoded once", put("/upload/%252e%252e/b72"), "upload/%2e%2e/b72")
_.good("B81", "255 bytes", put("/upload/" + _E * 85), "upload/" + "あ" * 85)
_.good("B84", "NFD", put("/upload/e%CC%81"), "upload/\u00e9")
_.good("B84", "NFC of the same", put("/upload/%C3%A9"), "upload/\u00e9", 200)
_.good("B86", "a name that Windows has", put("/upload/CON"), "upload/CON")
_.bad("B87", "through a link", put("/upload/link/x"), 403)
_.bad("B87", "a link itself", put("/upload/dangling"), 403)
_.bad("B88", "a directory", put("/upload/folder"), 409)
_.bad("B89", "below a file", put("/upload/file/x"), 409)
_.bad("B90", "a pipe", put("/upload/pipe"), 409)
_.bad("B90", "a socket", put("/upload/socket"), 409)
for _name in ("a;b=c", "a+b", "a:b", "~", "-rf", "*", "a=b&c", "$(x)"):
    _.good("B92", _name, put(f"/upload/{_name}"), f"upload/{_name}")

for _query in (
    f"token=qml_{'A' * 43}",
    f"a=1&b=see%20qml%5F{'A' * 43}.",
    f"qml_{'A' * 43}",
    "X-Auth-Token=x",
    "x-api-key=",
):
    _.bad("B106", f"upload, {_query[:20]}", put(f"/upload/x?{_query}"), 400)
_.good("B106", "only nearly", put(f"/upload/b106?a=qml_{'A' * 42}&token=eyJ"), "upload/b106")

CONDITIONS = Table()
_ = CONDITIONS
_.bad("B110", "If-None-Match: * on a file", put("/upload/file", "If-None-Match: *"), 412)
_.bad(
    "B110",
    "the same, waits",
    request("PUT", "/upload/file", _FIVE, "If-None-Match: *", "Expect: 100-continue"),
    412,
)
_.bad("B111", "If-Match: a tag", put("/upload/file", 'If-Match: "other"'), 412)
_.bad("B111", "If-Match: * on nothing", put("/upload/x", "If-Match: *"), 412)


def digest(name: str) -> str:
    """A digest of the five bytes."""
    return base64.b64encode(hashlib.new(name, b"hello").digest()).decode()


_SHA256, _SHA512, _MD5 = digest("sha256"), digest("sha512"), digest("md5")
_WRONG = "A" * 43 + "="
for _field in (
    f"Repr-Digest: sha-256=:{_WRONG}:",
    f"Content-Digest: sha-256=:{_WRONG}:",
    f"Repr-Digest: sha-256=:{_SHA256}:, sha-512=:{'A' * 86}==:",
    "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==",
):
    _.bad("B112", f"not so: {_field[:30]}", put("/upload/x", _field), 422)
for _field in (
    "Repr-Digest: sha-256",
    f"Repr-Digest: sha-256={_SHA256}",
    "Content-Digest: sha-256=:AAAA:",
    "Repr-Digest: ,",
    "Content-MD5: !",
):
    _.bad("B112", f"no digest: {_field[:30]}", put("/upload/x", _field), 400)
_.good("B112", "an empty field", put("/upload/b112", "Repr-Digest: "), "upload/b112")
for _number, _field in enumerate(
    (
        f"Repr-Digest: sha-256=:{_SHA256}:, sha-512=:{_SHA512}:",
        f"Content-Digest: crc32c=:AAAA:, sha-256=:{_SHA256}:",
        f"Content-MD5: {_MD5}",
    )
):
    _.good(
        "B112",
        f"so: {_field[:30]}",
        put(f"/upload/b112-{_number}", _field),
        f"upload/b112-{_number}",
    )
_.good("B110", "on nothing", put("/upload/b110", "If-None-Match: *"), "upload/b110")

#: Doors that keep a body in memory.
BODIES = Table()
_ = BODIES


def post(*fields: str, body: bytes = b"") -> bytes:
    """A request of a door that needs no credential."""
    return request("POST", "/-/logon", *fields, body=body)


_.shut("B131", "1 MiB and a byte", post(f"Content-Length: {MIB + 1}", body=bytes(MIB + 1)), 413)
_.shut("B131", "that waits", post(f"Content-Length: {MIB + 1}", "Expect: 100-continue"), 413)
_.shut(
    "B131",
    "in chunks",
    post("Transfer-Encoding: chunked", body=b"100001\r\n" + bytes(MIB + 1) + b"\r\n0\r\n\r\n"),
    413,
)
