"""The target of an upload."""

import uuid

import pytest

from qmonus_lite.errors import BadRequest
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.upload.target import Target, read_target

TENANT = "/v1/tenants/{tenant_id}/images/{filename}/file"


def target(template: str, raw_path: str) -> Target:
    values = PathTemplate.parse(template, rest="filepath").match(raw_path)
    assert values is not None
    return read_target(values)


@pytest.mark.parametrize(
    ("template", "raw_path", "path", "resources"),
    [
        ("/upload/{filepath}", "/upload/a", "/upload/a", {"filepath": "a"}),
        ("/upload/{filepath}", "/upload/a/b%20c", "/upload/a/b c", {"filepath": "a/b c"}),
        ("/upload/{filepath}", "/upload/100%25", "/upload/100%", {"filepath": "100%"}),
        ("/upload/{filepath}", "/upload/%252e", "/upload/%2e", {"filepath": "%2e"}),
        ("/upload/{filepath}", "/upload/%E6%97%A5", "/upload/日", {"filepath": "日"}),
        ("/files/{filepath}", "/files/a", "/upload/a", {"filepath": "a"}),
        (
            TENANT,
            "/v1/tenants/t%201/images/x.qcow2/file",
            "/upload/x.qcow2",
            {"tenant_id": "t 1", "filename": "x.qcow2"},
        ),
        (
            "/up/{filename}/{filepath}",
            "/up/n/a/b",
            "/upload/n",
            {"filename": "n", "filepath": "a/b"},
        ),
    ],
)
def test_reads_path_and_resources(
    template: str, raw_path: str, path: str, resources: dict[str, str]
) -> None:
    assert target(template, raw_path) == Target(path=path, resources=resources)


def test_a_path_without_a_name_gets_a_fresh_one() -> None:
    first, second = (target("/inbox/{box}", "/inbox/a").path for _ in range(2))

    assert first != second
    assert uuid.UUID(first.removeprefix("/upload/")).version == 4


@pytest.mark.parametrize(
    "raw_path", ["/upload/a%2Fb", "/upload/%ff", "/upload/a%zz", "/upload/a/%"]
)
def test_refuses_what_cannot_be_decoded(raw_path: str) -> None:
    with pytest.raises(BadRequest):
        target("/upload/{filepath}", raw_path)
