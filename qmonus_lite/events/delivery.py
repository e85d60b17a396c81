"""Delivery settings, and conversion of a claimed event to what is sent and to an attempt."""

from qmonus_lite.clock import Clock
from qmonus_lite.events.envelope import OutgoingEvent, Purpose
from qmonus_lite.events.gateway import Gateway
from qmonus_lite.events.log import EventLog
from qmonus_lite.events.retry import Attempt
from qmonus_lite.events.stored_event import ClaimedEvent
from qmonus_lite.events.transport import Transport
from qmonus_lite.events.workers import WorkerRegistry
from qmonus_lite.observations import NO_OBSERVERS, Observers
from qmonus_lite.values import Value


class Delivery(Value, frozen=True, kw_only=True):
    """Settings and collaborators of event delivery."""

    log: EventLog
    registry: WorkerRegistry
    transport: Transport
    clock: Clock
    gateway: Gateway
    #: `http(s)://host:port` of this APIGW.
    source: str
    #: Timeout of one delivery in seconds.
    timeout: float
    #: Maximum age of an event in seconds; an older one becomes a dead letter.
    max_age: float
    #: Seconds for which delivered events are kept; 0 keeps none.
    history: float = 0.0
    observers: Observers = NO_OBSERVERS

    def event(self, due: ClaimedEvent) -> OutgoingEvent:
        """The event as it is sent to a worker."""
        return OutgoingEvent(
            id=due.id,
            type=due.type,
            source=self.source,
            # A published event without a path has its id there.
            subject=due.path if due.path != due.id else None,
            time=due.time,
            attempt=due.attempt,
            seq=due.seq,
            request_id=due.request_id,
            upload_id=due.upload_id,
            account=due.account,
            traceparent=due.traceparent,
            purpose=Purpose.DELIVERY,
            data=self.gateway.complete(due),
        )

    def attempt(
        self,
        due: ClaimedEvent,
        age: float,
        code: int,
        reason: str = "",
        retry_after: float | None = None,
    ) -> Attempt:
        """The result of a delivery attempt that ended with this status code.

        `age` of the event and `retry_after` are in seconds.
        """
        return Attempt(
            number=due.attempt,
            age=age,
            max_age=self.max_age,
            code=code,
            reason=reason,
            retry_after=retry_after,
        )
