"""The S3 example, in the ways that its page only tells of."""

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from tests.acceptance.curl import Answer
from tests.acceptance.harness import Installation
from tests.acceptance.process import until
from tests.acceptance.servers import KEY_ID, SECRET, Rclone, serve_s3
from tests.docs.test_samples import add

MIB = 1 << 20
TARGET = """\
name: s3-target
values: {{endpoint_url: "http://{place}", region: r, bucket: incoming, access_key_id: {key},
  secret_access_key: {secret}}}
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    server = serve_s3(tmp_path_factory.mktemp("s3"))
    (server.files / "incoming").mkdir()
    yield server
    server.end()


@pytest.fixture(scope="module")
def example(shared: Installation, s3: Rclone) -> Installation:
    """An installation that serves the example."""
    add(shared, "docs/examples/s3")
    shared.plugin("s3-target.yml", TARGET.format(place=s3.place, key=KEY_ID, secret=SECRET))
    shared.up()
    return shared


@pytest.fixture(scope="module")
def store(s3: Rclone) -> Any:
    """Another client of the same store."""
    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=f"http://{s3.place}",
        region_name="r",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
    )


def send(example: Installation, path: str) -> Answer:
    """Ask the route, as the handler does."""
    body = json.dumps({"path": path})
    return example.curl("/v1/to-s3", "--json", body, token=example.token)


def laid(example: Installation, name: str, content: bytes) -> Path:
    """A file among the uploaded ones, of which no event tells."""
    place = example.base / "upload" / name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    return place


@pytest.mark.parametrize("size", [0, 1, 16 * MIB, 16 * MIB + 1, 40 * MIB])
def test_a_file_of_any_size_goes_over_and_is_gone_here(
    example: Installation, s3: Rclone, store: Any, size: int
) -> None:
    content = os.urandom(size)
    name = f"of {size}.bin"
    file = example.file(name, content)

    example.upload(file, f"/upload/of%20{size}.bin", token=example.token)

    until(lambda: not (example.base / "upload" / name).exists(), report=lambda: example.log)
    assert (s3.files / "incoming" / name).read_bytes() == content
    assert store.head_object(Bucket="incoming", Key=name)["ContentLength"] == size


def test_a_file_that_went_over_before_a_crash_is_not_sent_again(
    example: Installation, store: Any
) -> None:
    place = laid(example, "twice.bin", b"x" * 1000)
    kept = example.folder / "kept"
    os.link(place, kept)
    assert send(example, "/upload/twice.bin").json["sent"] is True
    before = store.head_object(Bucket="incoming", Key="twice.bin")["LastModified"]

    # It was sent, and the process died before it removed the file.
    os.link(kept, place)
    again = send(example, "/upload/twice.bin")

    assert (again.json["sent"], place.exists()) == (False, False)
    assert store.head_object(Bucket="incoming", Key="twice.bin")["LastModified"] == before
    # Another file of that name and length is another file.
    laid(example, "twice.bin", b"y" * 1000)
    assert send(example, "/upload/twice.bin").json["sent"] is True


def test_a_file_that_is_being_sent_is_not_sent_beside_that(example: Installation) -> None:
    place = laid(example, "busy.bin", b"x")
    with place.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused = send(example, "/upload/busy.bin")

    assert (refused.status, "is being sent already" in refused.text) == (503, True)
    assert place.exists()
    assert send(example, "/upload/busy.bin").status == 200


def test_parts_that_a_crash_left_are_given_up(example: Installation, store: Any) -> None:
    left = store.create_multipart_upload(Bucket="incoming", Key="left.bin")["UploadId"]
    other = store.create_multipart_upload(Bucket="incoming", Key="left.bin.other")["UploadId"]
    laid(example, "left.bin", bytes(17 * MIB))

    assert send(example, "/upload/left.bin").status == 200

    listed = store.list_multipart_uploads(Bucket="incoming").get("Uploads", [])
    ids = {upload["UploadId"] for upload in listed}
    assert left not in ids
    assert other in ids


class Portal(BaseHTTPRequestHandler):
    """Says 200 to everything that is sent, and keeps none of it."""

    protocol_version = "HTTP/1.1"
    etag = False
    #: What to do before the answer to a part.
    meanwhile: Any = None

    def log_message(self, format: str, *_: object) -> None:
        """Nothing."""

    def do_HEAD(self) -> None:
        self.server.asked = True  # type: ignore[attr-defined]
        self._say(404)

    def do_GET(self) -> None:
        self._say(200)

    def do_DELETE(self) -> None:
        self.server.given_up = True  # type: ignore[attr-defined]
        self._say(204)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if Portal.meanwhile:
            Portal.meanwhile()
        self._say(200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "uploads" in self.path:
            self._say(200, b"<R><UploadId>one</UploadId></R>")
        else:
            self.server.completed = True  # type: ignore[attr-defined]
            self._say(200, b"<R><ETag>x</ETag></R>" if Portal.etag else b"<html></html>")

    def _say(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        if Portal.etag:
            self.send_header("ETag", '"x"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def portal(example: Installation, s3: Rclone) -> Iterator[ThreadingHTTPServer]:
    """In the place of the store until the test ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Portal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"127.0.0.1:{server.server_port}"
    example.plugin("s3-target.yml", TARGET.format(place=place, key=KEY_ID, secret=SECRET))
    until(lambda: bool(_refused(example)) and hasattr(server, "asked"))
    yield server
    Portal.etag, Portal.meanwhile = False, None
    server.shutdown()
    server.server_close()
    example.plugin("s3-target.yml", TARGET.format(place=s3.place, key=KEY_ID, secret=SECRET))
    until(lambda: "bytes" in _refused(example))


@pytest.mark.usefixtures("portal")
def test_a_file_stays_here_that_something_else_than_a_store_said_it_took(
    example: Installation,
) -> None:
    for size in 100, 17 * MIB:
        place = laid(example, "portal.bin", bytes(size))

        answer = send(example, "/upload/portal.bin")

        assert (answer.status, "an answer without 'ETag'" in answer.text) == (502, True)
        assert place.exists()


@pytest.mark.usefixtures("portal")
def test_a_file_is_sent_once_to_a_bucket_that_hides_what_it_acknowledged(
    example: Installation,
) -> None:
    Portal.etag = True
    place = laid(example, "hidden.bin", bytes(100))

    assert send(example, "/upload/hidden.bin").status == 200
    assert not place.exists()


def test_parts_of_a_file_that_was_replaced_meanwhile_do_not_become_the_object(
    example: Installation, portal: Any
) -> None:
    place = laid(example, "newer.bin", bytes(17 * MIB))
    other = laid(example, "newer.tmp", b"newer")
    Portal.etag, portal.completed, portal.given_up = True, False, False
    Portal.meanwhile = lambda: other.exists() and other.rename(place)

    answer = send(example, "/upload/newer.bin")

    assert (answer.status, "was replaced while it was sent" in answer.text) == (503, True)
    assert (portal.completed, portal.given_up) == (False, True)
    assert place.read_bytes() == b"newer"


def test_what_the_store_refuses_is_a_dead_letter_with_its_words(
    example: Installation, s3: Rclone
) -> None:
    text = TARGET.format(place=s3.place, key=KEY_ID, secret="wrong")
    example.plugin("s3-target.yml", text)
    until(lambda: "SignatureDoesNotMatch" in _refused(example))

    file = example.file("no.bin", b"no")
    receipt = example.upload(file, "/upload/no.bin", token=example.token).json

    def shown() -> str:
        base = f"--base_dir={example.base}"
        return example.run("events", "show", receipt["event_id"], base).stdout

    until(lambda: '"dead"' in shown(), report=lambda: example.log)
    assert "422: /upload/no.bin was not sent: S3 gave 403 SignatureDoesNotMatch" in shown()
    assert (example.base / "upload" / "no.bin").exists()


def _refused(example: Installation) -> str:
    """What the route says now; another Config is in force within a second."""
    laid(example, "probe.bin", b"x")
    return send(example, "/upload/probe.bin").text
