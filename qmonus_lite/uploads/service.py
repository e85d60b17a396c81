"""Upload service: target, authorization, path and the pending upload of a request."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from qmonus_lite.auth.gatekeeper import Actor, Gatekeeper
from qmonus_lite.errors import (
    BadGateway,
    Conflict,
    Forbidden,
    Problem,
    Refusal,
    Terminated,
    refusal_of,
)
from qmonus_lite.events.envelope import UPLOADING, Ids
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.events.query import EventQuery
from qmonus_lite.ids import new_id
from qmonus_lite.observations import UploadDecided
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.uploads.accepted import AcceptedUpload
from qmonus_lite.uploads.active import ActiveUpload, ActiveUploads
from qmonus_lite.uploads.digest import Digests
from qmonus_lite.uploads.failure_log import log_store_failure
from qmonus_lite.uploads.names import BadName, parts_of
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.rules import Candidate, check_head
from qmonus_lite.uploads.store import PendingUpload, StoredPath, UploadStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class UploadService:
    """Opens the uploads of one APIGW."""

    template: PathTemplate
    query: EventQuery
    gatekeeper: Gatekeeper
    store: UploadStore
    active: ActiveUploads
    #: Seconds of the monotonic clock.
    now: Callable[[], float] = time.monotonic

    @property
    def under_way(self) -> set[ActiveUpload]:
        """Uploads that are neither stored nor aborted."""
        return self.active.under_way

    async def open(self, head: UploadRequest) -> ActiveUpload:
        """Authorize an upload and reserve space; raises Problem or Terminated if refused."""
        began = self.now()
        candidate = Candidate(request=head, quota=self.active.quota, gatekeeper=self.gatekeeper)
        check_head(candidate)
        question, actor, target = candidate.question, candidate.actor, candidate.target
        digests, where, account = candidate.digests, candidate.parts, question["account"]
        upload_id = head.record.upload_id = new_id()
        observed = self.active.observers.wants(UploadDecided)
        decide = self._authorize_observed if observed else self._authorize
        outcome = await decide(head, question, actor)
        event = question if outcome is None else outcome.event
        try:
            if outcome is None or event.get("path") == target.path:
                pending = await self._create(head, where, digests)
            else:
                pending = await self._create_at_chosen(head, outcome, digests)
        except Problem as error:
            log_store_failure(error, head.record, target.path)
            raise
        accepted = AcceptedUpload(upload_id, head, event, pending, account)
        return ActiveUpload(self.active, accepted, digests, began)

    async def _authorize_observed(
        self, head: UploadRequest, question: dict[str, Any], actor: Actor | None
    ) -> Outcome | None:
        """Authorize, and tell the listeners how that ended."""
        began, path = self.now(), question["path"]
        try:
            outcome = await self._authorize(head, question, actor)
        except (Problem, Terminated) as error:
            self._observe(head, path, began, outcome=refusal_of(error).rule)
            raise
        self._observe(head, path, began, outcome="allowed")
        return outcome

    def _observe(self, head: UploadRequest, path: str, began: float, *, outcome: str) -> None:
        record = head.record
        self.active.observers.notify(
            UploadDecided(
                request_id=record.request_id,
                upload_id=record.upload_id if outcome == "allowed" else "",
                path=path,
                account=record.account,
                outcome=outcome,
                seconds=self.now() - began,
            )
        )

    async def _authorize(
        self, head: UploadRequest, question: dict[str, Any], actor: Actor | None
    ) -> Outcome | None:
        """The handlers' outcome; None without handlers, where default authorization applies."""
        if self.query.is_handled(UPLOADING):
            ids = Ids(request_id=head.record.request_id, upload_id=head.record.upload_id)
            outcome = await self.query.ask(UPLOADING, question, subject=question["path"], ids=ids)
            if outcome.denied:
                raise outcome.terminated()
            if outcome.handlers:
                return outcome
            # The last handler was removed meanwhile, so no handler has authorized the upload.
            # Accounts may have changed as well: authenticate again.
            actor = None
        if actor is None:
            self.gatekeeper.authorize(head.headers, "PUT", head.raw_path)
        else:
            self.gatekeeper.check_allowed(actor, "PUT", head.raw_path)
        return None

    def _create(
        self, head: UploadRequest, where: StoredPath, digests: Digests
    ) -> Awaitable[PendingUpload]:
        """The pending upload at a path; raises Problem if no file can be stored there."""
        return self.store.create(
            where,
            upload_id=head.record.upload_id,
            length=head.length,
            condition=head.condition,
            digests=digests,
        )

    async def _create_at_chosen(
        self, head: UploadRequest, outcome: Outcome, digests: Digests
    ) -> PendingUpload:
        """The pending upload at the path that a plugin chose; BadGateway if that is invalid."""
        path = outcome.event.get("path")
        try:
            if not isinstance(path, str):
                raise BadName("the path is no text")
            return await self._create(head, parts_of(path), digests)
        except (BadName, Forbidden, Conflict) as error:
            names = ", ".join(outcome.handlers)
            extra = {"action": "path_refused", "handlers": names}
            logger.error("%s gave the path %r: %s", names, path, error, extra=extra)
            problem = BadGateway("a plugin gave a path that cannot be stored")
            problem.refusal = Refusal(plugin=names, rule="bad-path", reason=f"{path!r}: {error}")
            raise problem from None
