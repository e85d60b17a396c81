"""Where a file goes and what its events say of it: template, query, and a handler's own choice."""

import uuid

import pytest

from tests.acceptance.harness import UPLOADED, UPLOADING, Installation

#: As on the founding page.
TEMPLATE = "--file_upload_api_path=/v1/tenants/{tenant_id}/images/{filename}/file"
IMAGE = "/v1/tenants/t1/images/centos63.qcow2/file"

BY_ACCOUNT = """\
name: by-account
event: APIGW.OnFileUploading
script: |-
  async def by_account(event, handle):
      if event.get("X-Account"):
          event["path"] = "/" + event.get("X-Account") + event["path"]
"""


@pytest.fixture(scope="module")
def tenants(shared: Installation) -> Installation:
    """An installation with the page's template; its events are written down."""
    shared.record(UPLOADING)
    shared.record(UPLOADED)
    shared.plugin("by-account.yml", BY_ACCOUNT)
    shared.up(TEMPLATE)
    return shared


def test_the_path_of_the_page_stores_under_the_file_name_alone(tenants: Installation) -> None:
    file = tenants.file("image", b"an image")

    answer = tenants.upload(file, IMAGE)

    assert (answer.status, answer.json["path"]) == (201, "/upload/centos63.qcow2")
    assert (tenants.base / "upload" / "centos63.qcow2").read_bytes() == b"an image"


def test_both_events_have_the_path_and_every_variable_of_it(tenants: Installation) -> None:
    tenants.upload(tenants.file("image", b"1"), IMAGE.replace("centos63", "centos64"))

    for event in (UPLOADING, UPLOADED):
        seen = tenants.recorded(event, "/upload/centos64.qcow2")
        assert seen["resources"] == {"tenant_id": "t1", "filename": "centos64.qcow2"}


def test_an_argument_of_the_query_is_a_list(tenants: Installation) -> None:
    path = IMAGE.replace("centos63", "centos65")

    tenants.upload(tenants.file("image", b"1"), f"{path}?imageID=1&imageID=2&why=")

    for event in (UPLOADING, UPLOADED):
        seen = tenants.recorded(event, "/upload/centos65.qcow2")
        assert seen["params"] == {"imageID": ["1", "2"], "why": [""]}


def test_headers_of_an_event_are_those_of_the_request(tenants: Installation) -> None:
    path = IMAGE.replace("centos63", "centos66")

    tenants.upload(tenants.file("image", b"1"), path, "-H", "x-tEAM: blue")

    for event in (UPLOADING, UPLOADED):
        assert tenants.recorded(event, "/upload/centos66.qcow2")["headers"]["X-Team"] == "blue"


def test_a_path_that_a_handler_wrote_is_where_the_file_goes(tenants: Installation) -> None:
    file = tenants.file("image", b"for account A")
    path = IMAGE.replace("centos63", "centos67")

    answer = tenants.upload(file, path, "-H", "X-Account: accountA", "-H", "Content-Type: a/b")

    stored = tenants.base / "accountA" / "upload" / "centos67.qcow2"
    assert (answer.status, answer.json["path"]) == (201, "/accountA/upload/centos67.qcow2")
    assert stored.read_bytes() == b"for account A"
    assert not (tenants.base / "upload" / "centos67.qcow2").exists()
    seen = tenants.recorded(UPLOADED, "/accountA/upload/centos67.qcow2")
    assert seen["resources"]["filename"] == "centos67.qcow2"
    assert (seen["mime"], seen["bytes"]) == ("a/b", 13)
    assert (seen["address"], seen["port"]) == ("127.0.0.1", tenants.port)
    assert seen["filepath"] == str(stored.resolve())


def test_a_template_without_filename_stores_under_a_uuid(installation: Installation) -> None:
    installation.record(UPLOADED)
    installation.up("--file_upload_api_path=/v1/blobs/{kind}")

    answer = installation.upload(
        installation.file("blob", b"a blob"), "/v1/blobs/log", token=installation.token
    )

    path = answer.json["path"]
    name = path.removeprefix("/upload/")
    assert answer.status == 201
    assert str(uuid.UUID(name)) == name
    assert (installation.base / "upload" / name).read_bytes() == b"a blob"
    assert installation.recorded(UPLOADED, path)["resources"] == {"kind": "log"}
