"""The rules for the head of an upload, in order; each reads a part of the request or refuses it.

A rule for uploads is one more of `RULES`: all ways in pass them. What needs the verdict, a place
on the disk or the body is checked where that is known: authorization and path by the service, size
and digests of the received bytes by the store.
"""

from dataclasses import dataclass, field
from typing import Any

from qmonus_lite.auth.gatekeeper import Actor, Gatekeeper
from qmonus_lite.errors import CredentialInQuery, InvalidDigest, InvalidPath, Rule, Stage, TooLarge
from qmonus_lite.uploads.digest import NO_DIGESTS, Digests
from qmonus_lite.uploads.event_data import question_data
from qmonus_lite.uploads.names import BadName, parts_of
from qmonus_lite.uploads.quota import Quota
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.target import Target, read_target


@dataclass(slots=True, kw_only=True)
class Candidate:
    """An upload that is not decided on, as far as its rules have read it."""

    request: UploadRequest
    quota: Quota
    gatekeeper: Gatekeeper
    digests: Digests = NO_DIGESTS
    target: Target = field(init=False)
    #: Data of the request/reply event, and the account whose token the request has.
    question: dict[str, Any] = field(init=False)
    actor: Actor | None = field(init=False)
    #: Parts of the path that the client asks for.
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
RULES: tuple[Rule[Candidate], ...] = (
    Rule(
        name="upload-size",
        stage=Stage.HEAD,
        check=check_size,
        problems=(TooLarge,),
        refuses="a body above `--max_upload_bytes`; one in chunks as soon as that shows",
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
        refuses="a query with a credential of this gateway",
    ),
    Rule(
        name="file-name",
        stage=Stage.HEAD,
        check=read_name,
        problems=(InvalidPath,),
        refuses="a path that cannot be stored (below)",
    ),
)
_CHECKS = tuple(rule.check for rule in RULES)


def check_head(upload: Candidate) -> None:
    """Apply all rules; raises the Problem of the first rule that fails."""
    for check in _CHECKS:
        check(upload)
