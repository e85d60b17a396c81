"""What is fuzzed: each target reads any bytes, and raises only when something is wrong.

Refusals of ours are swallowed; every other exception is a finding, and so is an assertion that does
not hold of what was let through.
"""

import tempfile
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPServerRequest,
    parse_request_start_line,
)

from qmonus_lite.auth.sealing import Sealer
from qmonus_lite.catalog.builders import BuildContext
from qmonus_lite.catalog.document import BadDocument, Document
from qmonus_lite.catalog.loader import Loader
from qmonus_lite.errors import BadPlugins, BadRequest, Problem
from qmonus_lite.headers import Headers
from qmonus_lite.http import framing
from qmonus_lite.http.buffered import MAX_BUFFERED_BODY_BYTES, MAX_HEAD_BYTES, parse_plain_put
from qmonus_lite.http.framing import RequestHead
from qmonus_lite.http.idle_timeout import IdleTimeout
from qmonus_lite.http.limits import TrustedProxies
from qmonus_lite.http.pipeline import Pipeline
from qmonus_lite.http.tornado_adapter import make_application
from qmonus_lite.pathtemplate import BadTemplate, PathTemplate, decode
from qmonus_lite.uploads.names import MAX_PART_BYTES, MAX_PARTS, MAX_PATH_BYTES, BadName, parts_of
from qmonus_lite.uploads.target import read_target

UPLOADS = PathTemplate.parse("/upload/{filepath}", rest="filepath")
IMAGES = PathTemplate.parse("/v1/{tenant_id}/images/{filename}/file")
PROXIES = TrustedProxies()


def names(data: bytes) -> None:
    """A path that a handler left: any text at all, lone surrogates included."""
    try:
        parts = parts_of(data.decode(errors="surrogateescape"))
    except BadName:
        return
    assert 1 <= len(parts) <= MAX_PARTS
    assert len("/".join(parts).encode()) <= MAX_PATH_BYTES
    for part in parts:
        assert part not in {"", ".", ".."} and "/" not in part and "\0" not in part
        assert len(part.encode()) <= MAX_PART_BYTES
        assert unicodedata.is_normalized("NFC", part)
    assert parts_of("/" + "/".join(parts)) == parts


def template(data: bytes) -> None:
    """A template, and behind the first line break a path for it."""
    text, _, path = data.decode("latin-1").partition("\n")
    for rest in (None, "filepath"):
        try:
            read = PathTemplate.parse(text, rest=rest)
        except BadTemplate:
            continue
        values = read.match(path)
        if values is None:
            continue
        assert tuple(values) == read.names and all(values.values())
        assert read.fill(values) == path
        for value in values.values():
            with suppress(BadRequest):
                assert "%" in value or decode(value) == value


def target(data: bytes) -> None:
    """The raw path of an upload, as far as the rules for heads let it come."""
    path = data.decode("latin-1")
    for upload in (UPLOADS, IMAGES):
        if (values := upload.match(path)) is None:
            continue
        try:
            found = read_target(values)
            parts = parts_of(found.path)
        except (BadRequest, BadName):
            continue
        assert parts[0] == "upload" and len(parts) > 1
        assert set(found.resources) == set(upload.names)


def head(data: bytes) -> None:
    """A head as Tornado reads it, and what is made of its fields."""
    line, _, block = data.decode("latin-1").partition("\r\n")
    try:
        start = parse_request_start_line(line)
        fields = HTTPHeaders.parse(block)
    except HTTPInputError:
        return
    given = RequestHead(
        method=start.method,
        target=framing.origin_form(start.path, fields.get("Host", "")),
        version=start.version,
        fields=tuple(fields.get_all()),
    )
    # Asked of refused heads too, to see whether bytes stand behind them.
    _ = given.body_follows, given.waits
    client = PROXIES.client("127.0.0.1", fields.get_list("X-Forwarded-For"))
    assert client == "127.0.0.1"
    combined = Headers.combined(given.fields)
    try:
        framing.check_framing(given)
    except Problem:
        return
    assert given.target.startswith("/") and given.target.isascii()
    assert given.length is None or not given.chunked
    assert given.length is None or given.length >= 0
    assert not given.chunked or combined["transfer-encoding"].lower() == "chunked"


def refusal(head: RequestHead) -> str | None:
    """Why the framing rules refuse a head, or None."""
    try:
        framing.check_framing(head)
    except Problem as problem:
        return problem.detail
    return None


def whole(data: bytes) -> None:
    """What a connection begins with: a plain PUT is one that Tornado would read the same way."""
    put = parse_plain_put(data)
    if put is None:
        return
    assert put.size <= MAX_HEAD_BYTES and 0 <= put.total - put.size <= MAX_BUFFERED_BODY_BYTES
    assert put.head.length == put.total - put.size
    assert data[: put.size].endswith(b"\r\n\r\n") and data.find(b"\r\n\r\n") + 4 == put.size
    line, _, block = data[: put.size].decode("latin-1").partition("\r\n")
    start, fields = parse_request_start_line(line), HTTPHeaders.parse(block)
    # Raises where Tornado would not go on, with what our application allows.
    make_application(cast(Pipeline, None), cast(IdleTimeout, None))
    request = HTTPServerRequest(start_line=start, headers=fields, connection=HTTPConnection())
    assert request.host == put.head.values("host")[0]
    received = RequestHead(
        method=start.method,
        target=start.path,
        version=start.version,
        fields=tuple(fields.get_all()),
    )
    assert received.length == put.head.length
    # What one of them refuses the other refuses, for the same reason.
    assert refusal(received) == refusal(put.head)
    assert (start.method, start.path, start.version) == ("PUT", put.head.target, "HTTP/1.1")
    assert Headers.combined(put.head.fields) == Headers.combined(fields.get_all())


#: Nothing that a script could do harm with while it is loaded.
BUILD_CONTEXT = BuildContext(
    names={"__builtins__": {}}, sealer=Sealer(key=bytes(32)), reserved=lambda _public: None
)


def document(data: bytes) -> None:
    """A YAML file, and the place of everything in it."""
    try:
        read = Document("x.yml", data.decode(errors="replace"))
    except BadDocument as error:
        assert error.fault.line >= 1 and error.fault.column >= 1
        return
    _walk(read, read.value, ())


def _walk(read: Document, value: object, pointer: tuple[str | int, ...]) -> None:
    line, column = read.position(pointer)
    assert line >= 1 and column >= 1
    if isinstance(value, Mapping):
        for key, part in value.items():
            _walk(read, part, (*pointer, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _walk(read, part, (*pointer, index))


def plugins(data: bytes) -> None:
    """A plugin file in a folder."""
    with tempfile.TemporaryDirectory(prefix="qmonus-lite-fuzz-") as folder:
        (Path(folder) / "x.yml").write_bytes(data)
        try:
            catalog = Loader([Path(folder)], BUILD_CONTEXT).load()
        except BadPlugins as error:
            assert error.faults
            assert all(fault.line >= 1 and fault.column >= 1 for fault in error.faults)
            return
        assert len(catalog.listed) >= 0


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (names, template, target, head, whole, document, plugins)
}
