"""Bodies of routed requests against a schema; the table of the edge has those that are refused."""

import json

import pytest

from tests.acceptance.edge.raw import exchange
from tests.acceptance.edge.table.documents import ROUTE, post
from tests.acceptance.harness import Installation


@pytest.fixture(scope="module")
def things(shared: Installation) -> Installation:
    shared.plugin("things.yml", ROUTE)
    shared.up()
    return shared


def answer(things: Installation, body: bytes) -> str:
    """The body that comes back."""
    came = exchange(things.port, post(body), answers=1, to_end=False, ends=False)
    return came.raw.partition(b"\r\n\r\n")[2].decode()


def test_one_point_nought_is_an_integer_and_goes_on_as_it_came(things: Installation) -> None:
    assert answer(things, b'{"size": 1.0}') == '{"size": 1.0}'


def test_names_the_place_of_every_fault(things: Installation) -> None:
    problem = json.loads(answer(things, b'{"size": true, "code": "x"}'))

    assert problem["status"] == 400
    assert "body /size" in problem["detail"] and "body /code" in problem["detail"]
