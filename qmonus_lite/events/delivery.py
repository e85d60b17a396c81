"""How events are delivered, and one delivery as the values that it sends and gives."""

from dataclasses import dataclass

from qmonus_lite.clock import Clock
from qmonus_lite.events.envelope import CONTENT_TYPE, Attributes
from qmonus_lite.events.outbox import ClaimedEvent, Outbox
from qmonus_lite.events.retry import Attempt
from qmonus_lite.events.signature import Signer
from qmonus_lite.events.signed_client import DELIVER, SignedMessage
from qmonus_lite.events.worker_registry import WorkerRegistry


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How events are delivered."""

    outbox: Outbox
    registry: WorkerRegistry
    signer: Signer
    clock: Clock
    #: `http(s)://host:port` of this APIGW.
    source: str
    #: Seconds for one delivery.
    timeout: float
    #: Seconds after which an event is given up.
    max_age: float

    def message(self, due: ClaimedEvent) -> SignedMessage:
        """The message that a worker gets."""
        attributes = Attributes(
            id=due.id,
            type=due.type,
            source=self.source,
            subject=due.path,
            time=due.time,
            attempt=due.attempt,
            seq=due.seq,
            request_id=due.request_id,
            # The event of an upload has the id of the upload.
            upload_id=due.id,
        )
        return SignedMessage(
            id=due.id,
            path=DELIVER,
            body=attributes.around(due.data),
            content_type=CONTENT_TYPE,
            timeout=self.timeout,
        )

    def attempt(
        self, due: ClaimedEvent, code: int, reason: str = "", retry_after: float | None = None
    ) -> Attempt:
        """A delivery that was tried and ended with this code."""
        return Attempt(
            number=due.attempt,
            age=self.clock.now() - due.since,
            max_age=self.max_age,
            code=code,
            reason=reason,
            retry_after=retry_after,
        )
