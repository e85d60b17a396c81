"""The table of endpoints, held against the handlers and their methods."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest
from tornado.web import RequestHandler

from qmonus_lite import apigw
from qmonus_lite.apigw.app import HANDLERS
from qmonus_lite.apigw.endpoint import Access, Endpoint, Operation, Parameter
from qmonus_lite.apigw.endpoints import ADMIN, NOTHING, ROUTES, UPLOAD
from qmonus_lite.apigw.handler import BaseHandler

TABLE = (UPLOAD, *ADMIN, NOTHING, ROUTES)


def handlers(kind: type[RequestHandler] = BaseHandler) -> Iterator[type[RequestHandler]]:
    """Every class of handlers that has none below it."""
    for module in pkgutil.iter_modules(apigw.__path__, "qmonus_lite.apigw."):
        importlib.import_module(module.name)
    below = [each for each in kind.__subclasses__() if each.__module__.startswith("qmonus_lite.")]
    if not below:
        yield kind
    for each in below:
        yield from handlers(each)


def served(endpoint: Endpoint, methods: tuple[str, ...]) -> list[str]:
    """The methods of which the handler has a function of its own."""
    return [
        method
        for method in methods
        if inspect.iscoroutinefunction(getattr(HANDLERS[endpoint.path], method.lower()))
    ]


def test_every_handler_has_a_row_and_every_row_a_handler() -> None:
    assert [row.path for row in TABLE] == list(HANDLERS)
    assert sorted(map(str, HANDLERS.values())) == sorted(map(str, handlers()))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.path)
def test_a_row_has_the_methods_that_its_handler_serves(row: Endpoint) -> None:
    others = tuple({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - set(row.methods))

    assert served(row, row.methods) == list(row.methods)
    assert served(row, others) == []


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
        given = [entry.name for entry in row.parameters if entry.place == "path"]

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
