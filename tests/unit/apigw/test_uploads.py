"""The query of `/-/uploads`, and what is answered without records."""

from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.apigw.admin.uploads import LISTED, MAX_LISTED, UploadsResource, _filter, _limit
from qmonus_lite.clock import Clock
from qmonus_lite.errors import InvalidQuery, RecordsUnavailable
from qmonus_lite.records.recorder import Recorder
from qmonus_lite.records.store import Bounds, RecordFilter


def test_reads_the_filters_of_a_query() -> None:
    given = {
        "account": "kim",
        "path": "/upload/a",
        "state": "dead",
        "code": "",
        "since": "2026-01-31T12:00:00 09:00",
        "cursor": "17",
    }

    assert _filter(given) == RecordFilter(
        account="kim", path="/upload/a", state="dead", since=1769828400.0, before=17
    )
    assert _filter({}) == RecordFilter()
    assert [_limit(None), _limit("7")] == [LISTED, 7]


@pytest.mark.parametrize(
    "given",
    [
        {"state": "lost"},
        {"since": "yesterday"},
        {"since": "2026-01-31T12:00:00"},
        {"cursor": "-1"},
        {"cursor": "٣"},
        {"cursor": "9" * 19},
        {"cursor": "9" * 20},
    ],
)
def test_refuses_a_value_that_is_none_of_it(given: dict[str, str]) -> None:
    with pytest.raises(InvalidQuery):
        _filter(given)


@pytest.mark.parametrize("text", ["0", str(MAX_LISTED + 1), "x", "9" * 9])
def test_refuses_a_limit_out_of_bounds(text: str) -> None:
    with pytest.raises(InvalidQuery):
        _limit(text)


def test_says_why_there_are_no_records(tmp_path: Path) -> None:
    keeper: Any = None
    bounds = Bounds(max_age_seconds=1.0, max_rows=1)
    unopened = Recorder(tmp_path / "records.db", Clock("UTC"), bounds, everything=False)

    with pytest.raises(RecordsUnavailable, match="--records=none"):
        UploadsResource(recorder=None, gatekeeper=keeper)._store()
    with pytest.raises(RecordsUnavailable, match="see the log"):
        UploadsResource(recorder=unopened, gatekeeper=keeper)._store()
