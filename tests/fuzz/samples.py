"""What a fuzzer begins with, and the words that it throws in: without them it finds little."""

from collections.abc import Mapping

from tests.acceptance.edge.table import plugins, requests
from tests.acceptance.process import TOP

_PATHS = (
    b"/upload/a/b.bin",
    b"/upload/%E3%81%82/%252e",
    b"/upload/e%CC%81",
    b"/v1/t1/images/x%20y.img/file",
    b"/upload/..%2f/%ff/a%00",
)
_HEADS = tuple(row.sent.partition(b"\r\n\r\n")[0] for row in [*requests.FRAMING, *requests.HEADS])
_PUT = b"PUT /upload/a%20b?c=d HTTP/1.1\r\nHost: edge:8080\r\nContent-Length: 5\r\n"
_WHOLE = (
    _PUT + b"\r\nhello",
    _PUT + b"X-A:\tb c \r\nconnection: Keep-Alive\r\n\r\nhello",
    *(_PUT + field + b"\r\n\r\n" for field in (b"Host: b", b"Expect: 100-continue", b"x_y: z")),
    # Two fields of one name, an address as host, and another request behind.
    _PUT.replace(b"edge", b"[::1]") + b"Cookie: a\r\ncookie: b\r\n\r\n" + _PUT,
    *(head.replace(b"\r\nConnection: close", b"") + b"\r\n\r\nhello" for head in _HEADS),
)
_FILES = (
    *(path.read_bytes() for path in sorted((TOP / "plugins").glob("*.yml"))),
    *(path.read_bytes() for path in sorted((TOP / "docs/examples").rglob("*.yml"))),
    *(row.content for row in plugins.ROWS if len(row.content) < 1000),
    b"- {username: kim, roles: [admin], expire_days: 3, created_at: '2026-11-22'}\n",
    b"name: c\nvalues: {a: !env HOME, b: !sealed v1:AAAA, c: [1, 2.5, true, 2026-11-22]}\n",
)
#: Bytes that are longer than these find nothing that shorter ones do not.
MOST = 4096

SAMPLES: Mapping[str, tuple[bytes, ...]] = {
    "names": ("/upload/a/あ".encode(), b"/a.b/c d/~", "/e\u0301/\u202e".encode(), b"/.qmonus-lite"),
    "template": (
        b"/upload/{filepath}\n/upload/a/b",
        b"/v1/{a}-{b}/{c}.log\n/v1/x-y-z/1.2.log",
        b"/v1/{a}{b}{c}\n/v1/xyz",
    ),
    "target": _PATHS,
    "head": tuple(sample for sample in _HEADS if len(sample) < MOST),
    "whole": tuple(sample for sample in _WHOLE if len(sample) < MOST),
    "document": _FILES,
    "plugins": _FILES,
}

_YAML = (
    *(b"!env ", b"!sealed ", b"!!binary ", b"!!set ", b"!!timestamp ", b"!!int ", b"&a ", b"*a"),
    *(b"<<: ", b"---\n", b"...\n", b"? ", b"%YAML 1.1\n", b"%TAG ! x\n", b"|-\n", b">+2\n", b"\t"),
    *(b"{", b"}", b"[", b"]", b"# ", b": ", b"- ", b"\xef\xbb\xbf", b"\x85", b"\xe2\x80\xa8"),
    *(b"0x1f", b"1e999", b".nan", b"-.inf", b"12:30:45", b"0o777", b"~", b"yes", b"2026-11-22"),
    *(b"2026-02-30", b"9999-12-31T23:59:60Z", b"async def f(event, handle):", b"yield", b"await "),
    *(b"lambda: ", b"from x import *", b"\\N{", b"f'{", b"'''", b"\x00", b"- " * 200, b"[" * 90),
)
_HTTP = (
    *(b"Content-Length: ", b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Host: "),
    *(b"Connection: close, x", b"\r\n", b"\n", b"\r", b"\r\n ", b" HTTP/1.0", b" HTTP/1.1", b":"),
    *(b"http://[", b"https://a@b:99999/", b"X-Forwarded-For: ", b"\xff", b"\x00", b"#", b"//"),
)
_NAMES = (
    *(b"%2e", b"%2F", b"%5C", b"%00", b"%ff", b"%C0%AE", b"%E2%80%AE", b"%", b"/", b"//", b".."),
    *(b"{", b"}", b"{filepath}", b"{filename}", b"{a}", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\\"),
    *(b"\xcc\x81", b"\xc4\xb0", b".qmonus-lite", b" ", b".", b"-" * 300, b"a/" * 40),
)

WORDS: Mapping[str, tuple[bytes, ...]] = {
    "names": _NAMES,
    "template": _NAMES,
    "target": _NAMES,
    "head": _HTTP,
    "whole": _HTTP,
    "document": _YAML,
    "plugins": _YAML,
}
