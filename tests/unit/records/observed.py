"""Observations for the tests of records."""

from typing import Any

from qmonus_lite.errors import Refusal
from qmonus_lite.observations import DeliveryTried, RanHandler, RequestAnswered
from qmonus_lite.records.store import Bounds
from qmonus_lite.values import changed

BOUNDS = Bounds(max_age_seconds=86400.0, max_rows=1_000_000)
GATE = RanHandler(plugin="gate", file="/p/gate.yml", line=4, content_hash="01ab", seconds=0.5)
REFUSED = Refusal(
    plugin="gate", file="/p/gate.yml", line=6, content_hash="01ab", rule="terminate", reason="no"
)
_STORED = RequestAnswered(
    method="PUT",
    path="/upload/a%20b",
    status=201,
    seconds=3.0,
    peer="10.0.0.1",
    request_id="r1",
    upload_id="u1",
    account="kim",
    bytes=7,
    stored_path="/upload/a b",
    seconds_to_open=1.0,
    seconds_to_seal=2.5,
)
_TRIED = DeliveryTried(
    event_id="u1",
    event="APIGW.OnFileUploaded",
    attempt=1,
    outcome="delivered",
    seconds=0.25,
    request_id="r1",
    upload_id="u1",
    path="/upload/a b",
    worker="http://w:1",
    handlers=(GATE,),
    code=200,
)


def stored(**fields: Any) -> RequestAnswered:
    """A stored upload."""
    return changed(_STORED, **fields)


def refused(**fields: Any) -> RequestAnswered:
    """An upload that a plugin refused."""
    given = {"status": 403, "stored_path": "", "refusal": REFUSED, "handlers": (GATE,), **fields}
    return changed(_STORED, **given)


def tried(**fields: Any) -> DeliveryTried:
    """An attempt to deliver its event."""
    return changed(_TRIED, **fields)
