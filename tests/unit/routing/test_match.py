"""Which route a path belongs to."""

import pytest

from qmonus_lite.errors import BadRequest
from qmonus_lite.routing.match import Match, best
from tests.unit.routing.routing_setup import RouteOf, catalog


def found(raw_path: str, *paths: str) -> Match | None:
    return best(catalog(*(RouteOf(path=path) for path in paths)).routes, raw_path)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/images/all", "/v1/images/all"),
        ("/v1/images/7", "/v1/images/{id}"),
        ("/v1/disks/7", "/v1/{kind}/{id}"),
    ],
)
def test_the_route_with_the_fewest_variables_wins(path: str, template: str) -> None:
    match = found(path, "/v1/{kind}/{id}", "/v1/images/{id}", "/v1/images/all")

    assert match is not None
    assert match.route.template.text == template


def test_of_equal_routes_the_first_one_wins() -> None:
    match = found("/v1/a/b", "/v1/{one}/b", "/v1/a/{two}")

    assert match is not None
    assert match.resources() == {"one": "a"}


def test_another_path_matches_no_route() -> None:
    assert found("/v2", "/v1/{id}") is None
    assert found("/v1/a/b", "/v1/{id}") is None


def test_variables_are_decoded_once() -> None:
    match = found("/v1/%E6%97%A5%2520", "/v1/{id}")

    assert match is not None
    assert match.resources() == {"id": "日%20"}


@pytest.mark.parametrize(
    "segment",
    ["..", "%2e%2E", ".", "a%2Fb", "%ff", "%zz", "%00", "a%0a", "%252e%252E", "..;x", "..%5Cx"],
)
def test_refuses_a_variable_that_is_no_name(segment: str) -> None:
    match = found(f"/v1/{segment}", "/v1/{id}")

    assert match is not None
    with pytest.raises(BadRequest):
        match.resources()


def test_variables_are_in_one_form() -> None:
    match = found("/v1/%E2%84%AAEYS%E3%82%AB%E3%82%99", "/v1/{id}")

    assert match is not None
    assert match.resources() == {"id": "KEYSガ"}
