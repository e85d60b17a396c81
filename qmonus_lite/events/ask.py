"""The synchronous question to the handlers of an event, where anything unclear is a no."""

import logging
from dataclasses import dataclass
from typing import Any

from qmonus_lite.clock import Clock
from qmonus_lite.errors import BadGateway, Problem, Unavailable
from qmonus_lite.events.envelope import CONTENT_TYPE, Envelope
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.events.roster import Roster
from qmonus_lite.events.sender import (
    ASK,
    Parcel,
    Sender,
)
from qmonus_lite.events.wire import WorkerAway, WorkerBroke, WorkerGarbled
from qmonus_lite.ids import new_id

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Question:
    """Asks one event of the workers in turn."""

    roster: Roster
    sender: Sender
    clock: Clock
    #: `http(s)://host:port` of this APIGW.
    source: str
    #: Seconds for the whole exchange.
    timeout: float

    def is_handled(self, event: str) -> bool:
        """Whether a worker has a handler; raises Unavailable before the first word of any."""
        if not self.roster.heard:
            raise Unavailable("no Lambda worker has answered yet")
        return self.roster.handles(event)

    async def ask(self, event: str, data: dict[str, Any], subject: str | None = None) -> Outcome:
        """What the handlers made of it; raises Unavailable or BadGateway.

        Another worker is tried only when nothing had been sent to the one before.
        """
        parcel = self._parcel(event, data, subject)
        for endpoint in self.roster.in_turn():
            try:
                report = await self.sender.send(endpoint, parcel)
            except WorkerAway:
                continue
            except WorkerBroke as error:
                detail = "the Lambda worker did not answer"
                raise self._no(endpoint, error, Unavailable(detail)) from None
            except WorkerGarbled as error:
                detail = "the Lambda worker gave an answer that cannot be trusted"
                raise self._no(endpoint, error, BadGateway(detail)) from None
            if report.outcome is None:
                raise BadGateway("the Lambda worker gave no outcome")
            return report.outcome
        raise Unavailable("no Lambda worker answers")

    def _parcel(self, event: str, data: dict[str, Any], subject: str | None) -> Parcel:
        envelope = Envelope(
            id=new_id(),
            type=event,
            source=self.source,
            subject=subject,
            time=self.clock.moment(),
            attempt=1,
            data=data,
        )
        return Parcel(
            id=envelope.id,
            path=ASK,
            body=envelope.to_bytes(),
            content_type=CONTENT_TYPE,
            timeout=self.timeout,
        )

    def _no(self, endpoint: str, error: Exception, problem: Problem) -> Problem:
        extra = {"action": "ask_failed", "endpoint": endpoint}
        logger.error("no usable answer from %s: %s", endpoint, error, extra=extra)
        return problem
