"""The receipt."""

import json

import pytest

from qmonus_lite.uploads.receipt import Receipt


def receipt(path: str = "/upload/a", *, replaced: bool = False) -> Receipt:
    return Receipt(
        upload_id="u",
        path=path,
        filename=path.rpartition("/")[2],
        bytes=3,
        mime="text/plain",
        event_id="e",
        durable=True,
        replaced=replaced,
    )


def test_holds_what_the_contract_names() -> None:
    assert json.loads(json.dumps(receipt().to_json())) == {
        "upload_id": "u",
        "path": "/upload/a",
        "filename": "a",
        "bytes": 3,
        "mime": "text/plain",
        "event_id": "e",
        "durable": True,
        "replaced": False,
    }


def test_a_new_file_is_201_and_a_replaced_one_200() -> None:
    assert (receipt().status, receipt(replaced=True).status) == (201, 200)


@pytest.mark.parametrize(
    ("path", "location"),
    [("/upload/a b", "/upload/a%20b"), ("/日/100%", "/%E6%97%A5/100%25"), ("/a?b#c", "/a%3Fb%23c")],
)
def test_the_location_can_stand_in_a_header(path: str, location: str) -> None:
    assert receipt(path).location == location
