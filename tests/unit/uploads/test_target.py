"""The target of an upload."""

import uuid

import pytest

from qmonus_lite.errors import BadRequest
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.uploads.target import Target, read_target

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
        ("/upload/{filepath}", "/upload/%E2%84%AA/a", "/upload/K/a", {"filepath": "K/a"}),
        ("/upload/{filepath}", "/upload/e%CC%81/b", "/upload/\u00e9/b", {"filepath": "\u00e9/b"}),
        (
            TENANT,
            "/v1/tenants/%E2%84%AA/images/%E3%82%AB%E3%82%99/file",
            "/upload/ガ",
            {"tenant_id": "K", "filename": "ガ"},
        ),
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


@pytest.mark.parametrize("tenant", [".", "..", "%2e%2E", "%00", "a%0D%0Ab", "%252e%252e", "..%5Cx"])
def test_a_variable_beside_that_of_the_file_is_no_step_either(tenant: str) -> None:
    with pytest.raises(BadRequest, match="'tenant_id'"):
        target(TENANT, f"/v1/tenants/{tenant}/images/x/file")
    with pytest.raises(BadRequest, match="'box'"):
        target("/inbox/{box}", f"/inbox/{tenant}")


@pytest.mark.parametrize("rest", ["a/../b", "..", "a/%2e", "a/%00"])
def test_the_rest_of_a_path_is_held_to_it_where_another_variable_names_the_file(rest: str) -> None:
    with pytest.raises(BadRequest, match="'filepath'"):
        target("/up/{filename}/{filepath}", f"/up/n/{rest}")
