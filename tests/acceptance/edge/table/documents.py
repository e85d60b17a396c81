"""JSON bodies of a route that has a schema."""

from tests.acceptance.edge.raw import request
from tests.acceptance.edge.table.row import Table

#: The route that they are sent to.
ROUTE = """\
- authorities: ["127.0.0.1:1"]
  proxy: {path: /things, authorization: {auth_mode: none}}
  request_forbidden_process: |-
    return {"size": json.loads(request.body)["size"]}
  spec:
    - method: POST
      schema:
        request:
          body:
            type: object
            required: [size]
            additionalProperties: false
            properties:
              size: {type: integer}
              code: {type: string, pattern: "^abc$"}
              slow: {type: string, pattern: "^(a+)+$"}
              any: {}
"""
#: A route with a variable.
FILES = """\
- authorities: ["127.0.0.1:1"]
  proxy: {path: "/files/{a}"}
"""
JSON = "application/json"
KIB, MIB = 1 << 10, 1 << 20


def post(body: bytes, kind: str = JSON, query: str = "") -> bytes:
    """A body of this kind."""
    fields = (f"Content-Type: {kind}", f"Content-Length: {len(body)}")
    return request("POST", f"/things{query}", *fields, body=body)


def in_chunks(body: bytes) -> bytes:
    """The same in one chunk."""
    sent = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    fields = (f"Content-Type: {JSON}", "Transfer-Encoding: chunked")
    return request("POST", "/things", *fields, body=sent)


def any_of(value: bytes) -> bytes:
    """A value where the schema takes every value."""
    return b'{"size": 1, "any": ' + value + b"}"


DOCUMENTS = Table()
DOCUMENTS.shut(
    "B106", "a key in the query of a route", post(b'{"size": 1}', query=f"?x=qml_{'A' * 43}"), 400
)
for _id, _what, _body in (
    ("B120", "no JSON", b"{"),
    ("B120", "a byte order mark", b"\xef\xbb\xbf" + b'{"size": 1}'),
    ("B120", "bytes behind it", b'{"size": 1} x'),
    ("B120", "nothing", b""),
    ("B120", "no UTF-8", any_of(b'"\xff"')),
    ("B121", "100,000 deep", any_of(b"[" * 100_000)),
    ("B121", "65 deep", any_of(b"[" * 64 + b"]" * 64)),
    ("B122", "NaN", any_of(b"NaN")),
    ("B122", "Infinity", any_of(b"-Infinity")),
    ("B122", "1e400", any_of(b"1e400")),
    ("B123", "5000 digits", b'{"size": ' + b"9" * 5000 + b"}"),
    ("B124", "duplicate keys", b'{"size": 1, "size": 2}'),
    ("B124", "duplicate keys below", any_of(b'{"a": 1, "\\u0061": 2}')),
    ("B125", "a lone surrogate", any_of(b'"\\ud800"')),
    ("B125", "a lone surrogate as key", any_of(b'{"\\udfff": 1}')),
    ("B126", "unknown field", b'{"size": 1, "other": 2}'),
    ("B127", "900 KiB into a pattern", b'{"size": 1, "slow": "' + b"a" * 900 * KIB + b'!"}'),
    ("B128", "a line break at the end", b'{"size": 1, "code": "abc\\n"}'),
    ("B129", "true for an integer", b'{"size": true}'),
    ("B129", "1.5 for an integer", b'{"size": 1.5}'),
):
    DOCUMENTS.bad(_id, _what, post(_body), 400)
DOCUMENTS.good("B129", "1.0 for an integer", post(b'{"size": 1.0}'), None, 200)
DOCUMENTS.shut("B127", "2 MiB into a pattern", post(b'{"slow": "' + b"a" * 2 * MIB + b'"}'), 413)
for _kind in (
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json; charset=utf-16",
    "multipart/form-data; boundary=x",
):
    DOCUMENTS.bad("B130", _kind, post(b'{"size": 7}', _kind), 415)
_LARGE = any_of(b'"' + b"a" * MIB + b'"')
DOCUMENTS.shut("B131", "1 MiB of JSON", post(_LARGE), 413)
DOCUMENTS.shut("B131", "1 MiB of JSON in chunks", in_chunks(_LARGE), 413)
