"""Upload service: target, authorization, path and the pending upload of a request."""

import time
from collections.abc import Awaitable, Callable

from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.errors import Conflict, Forbidden, Problem, Terminated, refusal_of
from qmonus_lite.events.envelope import UPLOADING, Ids
from qmonus_lite.events.published import Source
from qmonus_lite.events.query import EventQuery
from qmonus_lite.ids import new_id
from qmonus_lite.observations import UploadDecided
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.uploads.accepted import AcceptedUpload
from qmonus_lite.uploads.active import ActiveUpload, ActiveUploads
from qmonus_lite.uploads.failure_log import log_store_failure
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.rules import (
    Candidate,
    check_after_verdict,
    check_gate_loop,
    check_head,
    unusable_path,
)
from qmonus_lite.uploads.store import PendingUpload, UploadStore
from qmonus_lite.values import Value


class UploadService(Value, frozen=True, kw_only=True):
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
        upload = Candidate(
            request=head,
            quota=self.active.quota,
            condition=head.condition,
            gatekeeper=self.gatekeeper,
        )
        check_head(upload)
        question = upload.question
        account = question["account"]
        upload_id = head.record.upload_id = new_id()
        observed = self.active.observers.wants(UploadDecided)
        await (self._decide_observed if observed else self._decide)(upload)
        try:
            pending = await self._create(upload)
        except Problem as error:
            if upload.path_chosen and isinstance(error, Forbidden | Conflict):
                raise unusable_path(upload, error) from None
            log_store_failure(error, head.record, upload.target.path)
            raise
        event = question if upload.outcome is None else upload.outcome.event
        accepted = AcceptedUpload(
            upload_id,
            head,
            event,
            pending,
            upload.quota,
            upload.condition,
            account,
            upload.limits.renames,
        )
        return ActiveUpload(self.active, accepted, upload.digests, began)

    async def _decide_observed(self, upload: Candidate) -> None:
        """Decide, and tell the listeners how that ended."""
        began, head, path = self.now(), upload.request, upload.question["path"]
        try:
            await self._decide(upload)
        except (Problem, Terminated) as error:
            self._observe(head, path, began, outcome=refusal_of(error).rule)
            raise
        self._observe(head, path, began, outcome="allowed")

    def _observe(self, head: UploadRequest, path: str, began: float, *, outcome: str) -> None:
        record = head.record
        self.active.observers.notify(
            UploadDecided(
                request_id=record.request_id,
                trace_id=record.trace_id,
                upload_id=record.upload_id if outcome == "allowed" else "",
                path=path,
                account=record.account,
                outcome=outcome,
                seconds=self.now() - began,
            )
        )

    async def _decide(self, upload: Candidate) -> None:
        """Ask the handlers, if there are any, and apply the rules after their verdict.

        Raises Problem, and Terminated if a handler refused.
        """
        if self.query.is_handled(UPLOADING):
            check_gate_loop(upload)
            record, question = upload.request.record, upload.question
            ids = Ids(
                request_id=record.request_id,
                upload_id=record.upload_id,
                account=record.account or "",
                traceparent=record.traceparent,
            )
            outcome = await self.query.ask(UPLOADING, question, subject=question["path"], ids=ids)
            if outcome.denied:
                raise outcome.as_error()
            if outcome.handlers:
                upload.outcome = outcome
            else:
                # The last handler was removed meanwhile, so no handler has authorized the upload.
                # Accounts may have changed as well: authenticate again.
                upload.actor = None
        check_after_verdict(upload)
        if upload.outcome is not None and upload.outcome.published:
            record = upload.request.record
            source = Source(
                request_id=record.request_id,
                upload_id=record.upload_id,
                account=record.account or "",
                traceparent=record.traceparent,
            )
            await self.query.store_events(upload.outcome.published, source)

    def _create(self, upload: Candidate) -> Awaitable[PendingUpload]:
        """The pending upload at its path; raises Problem if no file can be stored there."""
        head = upload.request
        return self.store.create(
            upload.parts,
            upload_id=head.record.upload_id,
            length=head.length,
            condition=upload.condition,
            digests=upload.digests,
        )
