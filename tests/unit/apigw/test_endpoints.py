"""The table of endpoints, held against the handlers and their methods."""

import re

import pytest

from qmonus_lite.apigw.app import HANDLERS
from qmonus_lite.apigw.endpoint import Access, Endpoint, Operation, Parameter
from qmonus_lite.apigw.endpoints import ADMIN, UPLOAD


def test_every_row_has_handlers_and_all_handlers_a_row() -> None:
    assert [row.path for row in ADMIN] == list(HANDLERS)


@pytest.mark.parametrize("row", ADMIN, ids=lambda row: row.path)
def test_a_row_has_the_methods_that_are_handled(row: Endpoint) -> None:
    assert list(HANDLERS[row.path]) == [operation.method for operation in row.operations]
    assert set(row.methods) - set(HANDLERS[row.path]) <= {"HEAD"}


def test_an_operation_says_what_it_is_and_what_it_answers() -> None:
    for row in (UPLOAD, *ADMIN):
        assert row.access is not Access.ROUTE
        for operation in row.operations:
            assert operation.summary and operation.answers
            assert not operation.summary.endswith(".")


def test_no_path_is_there_twice_and_none_hides_a_later_one() -> None:
    for number, row in enumerate(ADMIN):
        sample = row.path.replace("{id}", "0" * 36)

        assert [other for other in ADMIN if re.fullmatch(other.regex, sample)] == [ADMIN[number]]


def test_the_variables_of_a_path_are_its_parameters() -> None:
    for row in ADMIN:
        given = [entry.name for entry in row.parameters if entry.location == "path"]

        assert re.findall(r"\{(\w+)\}", row.path) == given


def test_a_path_matches_as_a_whole_with_its_variables() -> None:
    row = Endpoint(
        path="/-/a.b/{id}/c",
        access=Access.OPEN,
        parameters=(Parameter(name="id", description="", pattern="[0-9]+"),),
        operations=(Operation(method="GET", summary="", answers=()),),
    )
    found = re.fullmatch(row.regex, "/-/a.b/12/c")

    assert found is not None and found.groups() == ("12",)
    assert not re.fullmatch(row.regex, "/-/aXb/12/c")
    assert not re.fullmatch(row.regex, "/-/a.b/x/c")
    assert row.methods == ("GET", "HEAD")
