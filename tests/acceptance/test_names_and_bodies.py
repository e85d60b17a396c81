"""Bodies and names as curl sends them: from a pipe, in chunks, of nothing, in any script."""

import os
from pathlib import Path

import pytest

from tests.acceptance.harness import UPLOADED, Installation

MIB = 1 << 20


@pytest.fixture(scope="module")
def up(shared: Installation) -> Installation:
    """An installation without handlers; its uploads are written down."""
    shared.record(UPLOADED)
    shared.up()
    return shared


def stored(installation: Installation, name: str) -> bytes:
    return (installation.base / "upload" / name).read_bytes()


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 5 * MIB + 1])
def test_takes_standard_input(up: Installation, size: int) -> None:
    content = os.urandom(size)
    path = f"/upload/stdin-{size}"

    answer = up.curl(path, "-T", "-", token=up.token, stdin=content)

    assert (answer.status, answer.json["bytes"]) == (201, size)
    assert stored(up, f"stdin-{size}") == content
    assert "Content-Length" not in up.recorded(UPLOADED, path)["headers"]


def test_takes_a_file_in_chunks(up: Installation) -> None:
    file = up.file("chunked", os.urandom(5 * MIB + 1))

    answer = up.upload(file, "/upload/", "-H", "Transfer-Encoding: chunked", token=up.token)

    assert (answer.status, answer.json["bytes"]) == (201, 5 * MIB + 1)
    assert stored(up, "chunked") == file.read_bytes()
    headers = up.recorded(UPLOADED, "/upload/chunked")["headers"]
    assert headers["Transfer-Encoding"] == "chunked"


def test_refuses_an_upload_without_any_body(up: Installation) -> None:
    up.upload(up.file("kept", b"kept"), "/upload/kept", token=up.token)

    answer = up.curl("/upload/kept", "-X", "PUT", token=up.token)

    assert answer.status == 411
    assert stored(up, "kept") == b"kept"


def test_takes_an_empty_file(up: Installation) -> None:
    answer = up.upload(up.file("empty", b""), "/upload/empty", token=up.token)

    assert (answer.status, answer.json["bytes"]) == (201, 0)
    assert stored(up, "empty") == b""
    assert up.recorded(UPLOADED, "/upload/empty")["bytes"] == 0


@pytest.mark.parametrize("name", ["a b 日本%.txt", "100%25.txt", "für;all:+=&@,~'()[]!$.txt"])
def test_stores_under_the_name_that_the_file_has(up: Installation, name: str) -> None:
    # curl adds the name to a URL that ends with a slash, and encodes it.
    answer = up.upload(up.file(name, name.encode()), "/upload/", token=up.token)

    assert (answer.status, answer.json["filename"]) == (201, name)
    assert stored(up, name) == name.encode()
    assert up.recorded(UPLOADED, f"/upload/{name}")["resources"] == {"filepath": name}


def test_makes_the_directories_of_a_path(up: Installation) -> None:
    answer = up.upload(up.file("deep", b"deep"), "/upload/2026/11/deep.txt", token=up.token)

    assert (answer.status, answer.json["path"]) == (201, "/upload/2026/11/deep.txt")
    assert stored(up, "2026/11/deep.txt") == b"deep"


def test_replaces_a_file_and_says_so(up: Installation) -> None:
    first, second = up.file("first", b"first"), up.file("second", b"second")
    before = up.upload(first, "/upload/again", token=up.token)

    after = up.upload(second, "/upload/again", token=up.token)

    assert (before.status, before.json["replaced"]) == (201, False)
    assert (after.status, after.json["replaced"]) == (200, True)
    assert stored(up, "again") == b"second"


def test_the_receipt_says_what_was_stored(up: Installation) -> None:
    file = up.file("receipt", b"12345")

    answer = up.upload(file, "/upload/receipt", "-H", "Content-Type: text/x", token=up.token)

    event = up.recorded(UPLOADED, "/upload/receipt")
    assert answer.headers["Location"] == "/upload/receipt"
    assert answer.headers["X-Request-Id"]
    assert answer.json["upload_id"] and answer.json["event_id"]
    assert answer.json["durable"] is True
    assert {"bytes": 5, "mime": "text/x", "filename": "receipt"}.items() <= answer.json.items()
    assert (event["bytes"], event["mime"]) == (5, "text/x")


def test_an_upload_leaves_nothing_staged(up: Installation) -> None:
    up.upload(up.file("whole", b"whole"), "/upload/whole", token=up.token)

    assert [name for name in up.stored() if Path(name).parts[0] != "upload"] == []
