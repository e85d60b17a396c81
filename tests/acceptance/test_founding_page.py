"""The founding page, end to end: its own files, untouched, and the files that they move."""

import filecmp
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest

from tests.acceptance.harness import Installation
from tests.acceptance.process import until
from tests.acceptance.servers import KEY_ID, SECRET, Rclone, Sampler, serve_s3

MIB = 1 << 20

HANDSON = """\
name: handson
values:
  region: ap-northeast-1
  aws_access_key_id: !env AWS_ACCESS_KEY_ID
  aws_secret_access_key: !env AWS_SECRET_ACCESS_KEY
"""
#: What the page's second script stands in.
STREAM = """\
- authorities: [127.0.0.1]
  proxy:
    path: /v1/stream
    authorization: {auth_mode: axis}
  request_forbidden_process: |-
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    server = serve_s3(tmp_path_factory.mktemp("s3"))
    yield server
    server.end()


@pytest.fixture(scope="module")
def page(shared: Installation, s3: Rclone, seed: Path) -> Installation:
    """An installation that serves the page's plugins, as they are."""
    for plugin in seed.glob("*.yml"):
        shutil.copyfile(plugin, shared.plugins / plugin.name)
    stream = (seed / "streamUpload.body.py").read_text()
    shared.plugin("stream.yml", STREAM + indent(stream, " " * 4))
    shared.plugin("handson.yml", HANDSON)
    shared.environ |= {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL_S3": f"http://{s3.place}",
    }
    return shared


@pytest.fixture(scope="module")
def children(page: Installation) -> dict[str, int]:
    """Its APIGW and its worker, ready."""
    return page.up().children


@pytest.fixture
def large_file(
    page: Installation, s3: Rclone, tmp_path: Path, *, long_form: bool
) -> Iterator[Path]:
    """A file of 512 MiB, in the long form 2 GiB, of which no MiB is like another one."""
    file = tmp_path / "dummy.bin"
    noise = os.urandom(MIB - 8)
    with file.open("wb") as out:
        for number in range(2048 if long_form else 512):
            out.write(number.to_bytes(8) + noise)
    yield file
    # pytest keeps the folders of its latest runs; these files are too large for that.
    file.unlink()
    for place in (page.base / "upload", page.data / "staging", s3.files):
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.serial
@pytest.mark.timeout(400)
def test_a_large_file_reaches_s3_while_memory_stays_small_and_answers_stay_quick(
    page: Installation, children: dict[str, int], s3: Rclone, large_file: Path
) -> None:
    size = large_file.stat().st_size
    stored = page.base / "upload" / "dummy.bin"

    with Sampler(page.port, children.values()) as sampler:
        answer = page.upload(large_file, "/upload/dummy.bin", token="x")
        until(lambda: not stored.exists(), within=240, report=lambda: page.log)

    assert (answer.status, answer.sent) == (201, size)
    assert answer.json["bytes"] == size
    assert filecmp.cmp(large_file, s3.files / "qmonus/uploadedFiles/dummy.bin", shallow=False)
    assert page.stored() == ["upload"]
    assert sampler.seen.samples > 25
    assert max(sampler.seen.growth.values()) < 64 * MIB, sampler.seen
    assert sampler.seen.slowest[0].took < 0.1, sampler.seen


def test_an_upload_without_the_header_is_refused_before_its_first_byte(
    page: Installation, children: dict[str, int]
) -> None:
    before = page.stored()
    file = page.file("refused.bin", bytes(8 * MIB))

    answer = page.upload(file, "/upload/refused.bin")

    assert (answer.status, answer.text, answer.sent) == (401, "Unauthorized", 0)
    assert page.stored() == before


def test_a_client_that_asks_for_no_leave_hears_the_refusal_all_the_same(
    page: Installation, children: dict[str, int]
) -> None:
    before = page.stored()
    file = page.file("refused.bin", bytes(8 * MIB))

    answer = page.upload(file, "/upload/refused.bin", "-H", "Expect:")

    assert (answer.status, answer.text) == (401, "Unauthorized")
    assert page.stored() == before


def test_the_streaming_sample_sends_a_file_to_an_http_server(
    page: Installation, children: dict[str, int], webdav: Rclone
) -> None:
    file = page.file("streamed.bin", os.urandom(5 * MIB))
    url = f"http://{webdav.place}/streamed.bin"
    payload = {"filepath": str(file), "url": url, "headers": {"X-From": "qmonus"}}

    answer = page.curl("/v1/stream", "--json", json.dumps(payload), token=page.token)

    assert (answer.status, answer.text) == (200, "Created")
    assert filecmp.cmp(file, webdav.files / "streamed.bin", shallow=False)
