"""How events are delivered, and one delivery as the values that it sends and gives."""

from dataclasses import dataclass

from qmonus_lite.clock import Clock
from qmonus_lite.events.decision import Attempt
from qmonus_lite.events.envelope import CONTENT_TYPE, Attributes
from qmonus_lite.events.outbox import Due, Outbox
from qmonus_lite.events.roster import Roster
from qmonus_lite.events.sender import DELIVER, Parcel
from qmonus_lite.events.signature import Signer


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How events are delivered."""

    outbox: Outbox
    roster: Roster
    signer: Signer
    clock: Clock
    #: `http(s)://host:port` of this APIGW.
    source: str
    #: Seconds for one delivery.
    timeout: float
    #: Seconds after which an event is given up.
    max_age: float

    def parcel(self, due: Due) -> Parcel:
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
        return Parcel(
            id=due.id,
            path=DELIVER,
            body=attributes.around(due.data),
            content_type=CONTENT_TYPE,
            timeout=self.timeout,
        )

    def attempt(
        self, due: Due, code: int, reason: str = "", retry_after: float | None = None
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
