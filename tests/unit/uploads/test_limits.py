"""Limits of a handler: what is not clear is refused, and only the stricter limit counts."""

import logging
from typing import Any, cast

import pytest

from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.errors import BadGateway, TooLarge
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.headers import Headers
from qmonus_lite.uploads.limits import NO_LIMITS, BadLimits, IfExists, Limits
from qmonus_lite.uploads.quota import Quota
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.rules import Candidate, read_limits
from qmonus_lite.uploads.store import IF_ABSENT, UNCONDITIONAL, Condition


@pytest.mark.parametrize("name", ["replace", "fail", "rename"])
def test_reads_clear_limits(name: str) -> None:
    limits = Limits.read({"max_bytes": 5, "if_exists": name})
    assert limits == Limits(max_bytes=5, if_exists=IfExists(name))
    assert limits.renames is (name == "rename")
    assert Limits.read({}) == NO_LIMITS


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, 'event["limits"] is None, not a dict'),
        ([], 'event["limits"] is [], not a dict'),
        (5, 'event["limits"] is 5, not a dict'),
        ({"max_byte": 5}, "event[\"limits\"] has 'max_byte'; known: max_bytes, if_exists"),
        ({"max_bytes": None}, 'event["limits"]["max_bytes"] is None, not a whole number from 0'),
        ({"max_bytes": "5"}, 'event["limits"]["max_bytes"] is \'5\', not a whole number from 0'),
        ({"max_bytes": 5.0}, 'event["limits"]["max_bytes"] is 5.0, not a whole number from 0'),
        ({"max_bytes": True}, 'event["limits"]["max_bytes"] is True, not a whole number from 0'),
        ({"max_bytes": -1}, 'event["limits"]["max_bytes"] is -1, not a whole number from 0'),
        (
            {"if_exists": "Fail"},
            'event["limits"]["if_exists"] is \'Fail\', not one of replace, fail, rename',
        ),
        (
            {"if_exists": None},
            'event["limits"]["if_exists"] is None, not one of replace, fail, rename',
        ),
        (
            {"if_exists": ["fail"]},
            'event["limits"]["if_exists"] is [\'fail\'], not one of replace, fail, rename',
        ),
    ],
)
def test_refuses_limits_that_are_not_clear(given: Any, said: str) -> None:
    with pytest.raises(BadLimits) as raised:
        Limits.read(given)
    assert str(raised.value) == said


def test_the_stricter_limit_counts() -> None:
    gateway = Quota(max_bytes=10)
    assert Limits(max_bytes=20).quota(gateway) == gateway
    assert Limits(max_bytes=0).quota(gateway) == Quota(max_bytes=0)
    assert Limits(max_bytes=20).quota(Quota()) == Quota(max_bytes=20)
    assert NO_LIMITS.quota(gateway) == gateway


def test_a_precondition_of_the_client_stays() -> None:
    fail, replace = Limits(if_exists=IfExists.FAIL), Limits()
    match = Condition(match="*")
    assert fail.condition(UNCONDITIONAL) == IF_ABSENT
    assert fail.condition(match) == Condition(absent=True, match="*")
    assert replace.condition(IF_ABSENT) == IF_ABSENT


def candidate(limits: object, length: int | None) -> Candidate:
    request = UploadRequest(
        raw_path="/upload/f", values={}, params={}, headers=Headers({}), length=length
    )
    upload = Candidate(
        request=request,
        quota=Quota(),
        condition=UNCONDITIONAL,
        gatekeeper=cast(Gatekeeper, None),
    )
    event = {"path": "/upload/f", "limits": limits}
    upload.outcome = Outcome(code=200, output=None, event=event, handlers=("first", "quota"))
    return upload


def test_one_record_names_plugin_and_field(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(BadGateway) as raised:
        read_limits(candidate({"max_bytes": "1"}, 1))

    (record,) = caplog.records
    said = 'event["limits"]["max_bytes"] is \'1\', not a whole number from 0'
    assert record.getMessage() == f"first, quota: {said}"
    assert vars(record)["action"] == "limits_refused"
    refusal = raised.value.refusal
    assert refusal is not None
    assert (refusal.plugin, refusal.rule, refusal.reason) == ("first, quota", "bad-limits", said)


def test_a_declared_size_above_the_limit_is_too_large() -> None:
    read_limits(candidate({"max_bytes": 5}, 5))
    read_limits(candidate({"max_bytes": 5}, None))
    with pytest.raises(TooLarge, match="at most 5 bytes"):
        read_limits(candidate({"max_bytes": 5}, 6))
