"""The rules for an upload before its body, in order; each reads a part of it or refuses it.

A rule for uploads is one more of `HEAD_RULES`, or of `AFTER_VERDICT_RULES` if it depends on what
the handlers of `APIGW.OnFileUploading` decided: all ways in pass them. Rules on the body are in
`uploads.body_rules`; `uploads.store_rules` describes what only a store finds out.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

from qmonus_lite.auth.credentials import is_from_browser
from qmonus_lite.auth.gatekeeper import Actor, Gatekeeper
from qmonus_lite.errors import (
    AmbiguousCredentials,
    BadGateway,
    Conflict,
    CredentialInQuery,
    Forbidden,
    InvalidDigest,
    InvalidPath,
    LoopDetected,
    NoWorker,
    Refusal,
    Rule,
    RuleDescription,
    ScriptFailed,
    ScriptNotStarted,
    ScriptTimedOut,
    Stage,
    TooLarge,
    TooManyRequests,
    Unauthorized,
)
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.scripting.context import MAX_GATE_DEPTH, gate_depth
from qmonus_lite.uploads.digest import NO_DIGESTS, Digests
from qmonus_lite.uploads.event_data import question_data
from qmonus_lite.uploads.limits import FIELD, NO_LIMITS, BadLimits, Limits
from qmonus_lite.uploads.names import BadName, parts_of
from qmonus_lite.uploads.quota import Quota
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.store import Condition
from qmonus_lite.uploads.target import Target, read_target

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Candidate:
    """An upload that is not decided on, as far as its rules have read it."""

    request: UploadRequest
    quota: Quota
    #: The preconditions of the client, and of the handlers.
    condition: Condition
    gatekeeper: Gatekeeper
    digests: Digests = NO_DIGESTS
    #: What the handlers decided; None without handlers.
    outcome: Outcome | None = None
    #: Whether a handler gave it another path than the client asks for.
    path_chosen: bool = False
    #: What the handlers limit it to.
    limits: Limits = NO_LIMITS
    target: Target = field(init=False)
    #: Data of the request/reply event, and the account whose token the request has.
    question: dict[str, Any] = field(init=False)
    actor: Actor | None = field(init=False)
    #: Parts of the path: what the client asks for, or a handler chose.
    parts: tuple[str, ...] = field(init=False)


def check_size(upload: Candidate) -> None:
    """Check the declared size; raises TooLarge."""
    upload.quota.check_size(upload.request.length or 0)


def read_digests(upload: Candidate) -> None:
    """Read the digest fields; raises InvalidDigest."""
    upload.digests = Digests.read(upload.request.headers)


def read_path(upload: Candidate) -> None:
    """Read the variables of the path; raises InvalidPath."""
    upload.target = read_target(upload.request.values)


def read_question(upload: Candidate) -> None:
    """Read what handlers are asked about, and the account; raises CredentialInQuery."""
    upload.question, upload.actor = question_data(upload.request, upload.target, upload.gatekeeper)


def read_name(upload: Candidate) -> None:
    """Split the path into names that can be stored; raises InvalidPath."""
    try:
        upload.parts = parts_of(upload.target.path)
    except BadName as error:
        raise InvalidPath(str(error)) from None


#: In the order of evaluation; the order decides which Problem is reported.
HEAD_RULES: tuple[Rule[Candidate], ...] = (
    Rule(
        name="upload-size",
        stage=Stage.HEAD,
        check=check_size,
        problems=(TooLarge,),
        refuses="a `Content-Length` above `--max_upload_bytes`",
    ),
    Rule(
        name="digest-fields",
        stage=Stage.HEAD,
        check=read_digests,
        problems=(InvalidDigest,),
        refuses="a digest that is none",
    ),
    Rule(
        name="path",
        stage=Stage.HEAD,
        check=read_path,
        problems=(InvalidPath,),
        refuses="a path that cannot be decoded (below)",
    ),
    Rule(
        name="credential-in-query",
        stage=Stage.HEAD,
        check=read_question,
        problems=(CredentialInQuery,),
        refuses="a query with a token of this gateway, or `X-Auth-Token` or `X-API-Key` as a name",
    ),
    Rule(
        name="file-name",
        stage=Stage.HEAD,
        check=read_name,
        problems=(InvalidPath,),
        refuses="a path that cannot be stored (below)",
    ),
)

#: How asking the handlers ends without a verdict, or with a refusal.
VERDICT_RULES = (
    RuleDescription(
        name="worker",
        stage=Stage.AFTER_VERDICT,
        problems=(NoWorker, BadGateway),
        refuses="an upload whose handlers cannot be asked: no worker has answered yet, not every"
        " one that is configured ever has, none with the handler answers in time (503), or an"
        " answer cannot be trusted (502)",
    ),
    RuleDescription(
        name="gate-loop",
        stage=Stage.AFTER_VERDICT,
        problems=(LoopDetected,),
        refuses="an upload by a handler of `APIGW.OnFileUploading` that was itself asked about an"
        " upload by a handler of that event",
    ),
    RuleDescription(
        name="verdict",
        stage=Stage.AFTER_VERDICT,
        problems=(),
        refuses="what a handler of `APIGW.OnFileUploading` refuses; its words are sent as they are",
    ),
    RuleDescription(
        name="handler-failure",
        stage=Stage.AFTER_VERDICT,
        problems=(ScriptFailed, ScriptTimedOut, ScriptNotStarted),
        refuses="an upload whose handler fails, or does not end in time; the log says why",
    ),
)


def check_gate_loop(upload: Candidate) -> None:
    """Check that no gate uploads from within a question about its own upload.

    Raises LoopDetected. Each upload would ask the gates, which upload again.
    """
    depth = gate_depth(upload.question["headers"])
    if depth > MAX_GATE_DEPTH:
        raise LoopDetected(
            f"{depth} handlers of APIGW.OnFileUploading wait for this upload, each having uploaded"
            " to be asked again; upload from a handler of APIGW.OnFileUploaded"
        )


def check_authorization(upload: Candidate) -> None:
    """Check account and role where no handler decided (default authorization).

    Raises Unauthorized, TooManyRequests, Forbidden or AmbiguousCredentials.
    """
    if upload.outcome is not None:
        return
    request = upload.request
    if upload.actor is not None:
        upload.gatekeeper.check_allowed(upload.actor, "PUT", request.raw_path)
        return
    try:
        upload.gatekeeper.authorize(request.headers, "PUT", request.raw_path, client=request.client)
    except Unauthorized as error:
        if not is_from_browser(request.headers):
            error.offer_basic()
        raise


def read_chosen_path(upload: Candidate) -> None:
    """Split the path that a handler chose into names; raises BadGateway."""
    outcome = upload.outcome
    if outcome is None or outcome.event.get("path") == upload.target.path:
        return
    upload.path_chosen, path = True, outcome.event.get("path")
    try:
        if not isinstance(path, str):
            raise BadName("the path is no text")
        upload.parts = parts_of(path)
    except BadName as error:
        raise unusable_path(upload, error) from None


def unusable_path(upload: Candidate, error: BadName | Forbidden | Conflict) -> BadGateway:
    """The refusal of an upload for which a handler chose a path that cannot be stored; logs it."""
    outcome = upload.outcome
    assert outcome is not None
    path, names = outcome.event.get("path"), ", ".join(outcome.handlers)
    extra = {"action": "path_refused", "handlers": names}
    logger.error("%s gave the path %r: %s", names, path, error, extra=extra)
    problem = BadGateway("a plugin gave a path that cannot be stored")
    problem.refusal = Refusal(plugin=names, rule="bad-path", reason=f"{path!r}: {error}")
    return problem


def read_limits(upload: Candidate) -> None:
    """Apply the limits that the handlers set.

    Raises BadGateway if they are not clear, TooLarge if the declared size is above them.
    """
    outcome = upload.outcome
    if outcome is None or FIELD not in outcome.event:
        return
    try:
        upload.limits = Limits.read(outcome.event[FIELD])
    except BadLimits as error:
        names = ", ".join(outcome.handlers)
        extra = {"action": "limits_refused", "handlers": names}
        logger.error("%s: %s", names, error, extra=extra)
        problem = BadGateway("a plugin gave limits that are not clear")
        problem.refusal = Refusal(plugin=names, rule="bad-limits", reason=str(error))
        raise problem from None
    upload.quota = upload.limits.quota(upload.quota)
    upload.condition = upload.limits.condition(upload.condition)
    check_size(upload)


#: In the order of evaluation, when the handlers have agreed or there are none.
AFTER_VERDICT_RULES: tuple[Rule[Candidate], ...] = (
    Rule(
        name="authorization",
        stage=Stage.AFTER_VERDICT,
        check=check_authorization,
        problems=(Unauthorized, Forbidden, AmbiguousCredentials, TooManyRequests),
        refuses="without a handler: what the [default authorization](#who-may) does not allow",
    ),
    Rule(
        name="chosen-path",
        stage=Stage.AFTER_VERDICT,
        check=read_chosen_path,
        problems=(BadGateway,),
        refuses="a `path` given by a handler that cannot be stored, or where nothing may stand",
    ),
    Rule(
        name="limits",
        stage=Stage.AFTER_VERDICT,
        check=read_limits,
        problems=(BadGateway, TooLarge),
        refuses="`limits` of a handler that are not clear: another type, key or value than"
        " [listed](events.md#limits) (502); a `Content-Length` above its `max_bytes` (413)",
    ),
)
_HEAD_CHECKS = tuple(rule.check for rule in HEAD_RULES)
_AFTER_VERDICT_CHECKS = tuple(rule.check for rule in AFTER_VERDICT_RULES)


def check_head(upload: Candidate) -> None:
    """Apply HEAD_RULES; raises the Problem of the first rule that fails."""
    for check in _HEAD_CHECKS:
        check(upload)


def check_after_verdict(upload: Candidate) -> None:
    """Apply AFTER_VERDICT_RULES; raises the Problem of the first rule that fails."""
    for check in _AFTER_VERDICT_CHECKS:
        check(upload)
