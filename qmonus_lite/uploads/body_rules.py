"""The rules for an upload during its body, and when the body is complete, in order."""

from qmonus_lite.errors import (
    EventLogUnavailable,
    Rule,
    RuleDescription,
    Stage,
    TooLarge,
    Unavailable,
)
from qmonus_lite.uploads.lifecycle import UploadState
from qmonus_lite.uploads.quota import Quota

#: The limits, and the bytes of the body so far, with the chunk that came last.
ReceivedBody = tuple[Quota, int]


def check_received(body: ReceivedBody) -> None:
    """Check the bytes received so far; raises TooLarge."""
    quota, size = body
    quota.check_size(size)


def check_not_aborted(state: UploadState) -> None:
    """Check that the upload was not aborted while its body came; raises Unavailable."""
    if state is UploadState.ABORTED:
        raise Unavailable("the upload was given up before it was whole")


#: For each chunk of the body.
BODY_RULES: tuple[Rule[ReceivedBody], ...] = (
    Rule(
        name="received-size",
        stage=Stage.BODY,
        check=check_received,
        problems=(TooLarge,),
        refuses="a body in chunks as soon as it is above `--max_upload_bytes`, or the `max_bytes`"
        " of a handler",
    ),
)
#: When the body is complete, before it is sealed.
SEAL_RULES: tuple[Rule[UploadState], ...] = (
    Rule(
        name="given-up",
        stage=Stage.SEAL,
        check=check_not_aborted,
        problems=(Unavailable,),
        refuses="an upload that was given up before it was whole, since this APIGW stops",
    ),
)
#: Raised by `uploads.commit`, between sealing and publishing.
COMMIT_RULES = (
    RuleDescription(
        name="event-log",
        stage=Stage.SEAL,
        problems=(EventLogUnavailable,),
        refuses="an upload whose event has a handler and cannot be recorded",
    ),
)
_BODY_CHECKS = tuple(rule.check for rule in BODY_RULES)
_SEAL_CHECKS = tuple(rule.check for rule in SEAL_RULES)


def check_body(quota: Quota, size: int) -> None:
    """Apply BODY_RULES to the bytes received so far; raises the Problem of the first that fails."""
    body = quota, size
    for check in _BODY_CHECKS:
        check(body)


def check_seal(state: UploadState) -> None:
    """Apply SEAL_RULES; raises the Problem of the first rule that fails."""
    for check in _SEAL_CHECKS:
        check(state)
