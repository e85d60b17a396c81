"""Endpoints of a Lambda worker: three signed POSTs, each answered with a signed report."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from qmonus_lite.auth.callout_pass import Passes
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.events.envelope import (
    FIRST_PROTOCOL,
    PROTOCOL,
    BadEnvelope,
    Envelope,
    OtherProtocol,
    Purpose,
)
from qmonus_lite.events.outcome import Outcome, Report
from qmonus_lite.lambdas.handlers import EventHandlers
from qmonus_lite.rate_limited_log import RateLimitedLog
from qmonus_lite.transports.http.codec import HttpRequest, HttpResponse
from qmonus_lite.transports.http.signature import ID, BadSignature, ClocksDiffer, Signer
from qmonus_lite.transports.http.signed_client import ASK, DELIVER, HANDLES

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Worker:
    """State shared by the endpoints of one worker."""

    handlers: EventHandlers
    signer: Signer
    passes: Passes
    #: Number of pending long polls.
    waiting: int = 0

    def __post_init__(self) -> None:
        self._changed = asyncio.Event()
        self._stopping = False
        self.handlers.live.on_change(self._change)

    @property
    def busy(self) -> bool:
        """Whether a handler runs or a long poll is pending."""
        return self.handlers.running > 0 or self.waiting > 0

    def report(self, outcome: Outcome | None) -> Report:
        """Report that answers a message."""
        return self.handlers.report(outcome, stopping=self._stopping)

    async def wait_for_change(self, known: str, seconds: float) -> None:
        """Long poll: return when the plugin set differs from `known`, or after `seconds`."""
        if self.handlers.live.catalog.fingerprint == known:
            self.waiting += 1
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass
            finally:
                self.waiting -= 1

    def release(self) -> None:
        """End all long polls; their reports announce that the worker is stopping."""
        self._stopping = True
        self._changed.set()

    def _change(self, _catalog: Catalog) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


#: Statuses of messages that are logged only at debug level.
_FREQUENT = frozenset({200, 401, 404})


class WorkerEndpoints:
    """Dispatches the three paths of a worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._rate_limited = RateLimitedLog(logger)
        self._actions: dict[str, Callable[[bytes], Awaitable[Outcome | None]]] = {
            ASK: self._ask,
            DELIVER: self._deliver,
            HANDLES: self._handles,
        }

    async def answer(self, message: HttpRequest) -> HttpResponse:
        """Verify the signature, run the action, and reply with a report signed for the same id."""
        started = time.monotonic()
        reply = await self._answer(message)
        # APIGW logs the outcome of an event, so only other statuses are logged here; unsigned or
        # unknown messages (401, 404) go to the rate-limited log.
        level = logging.DEBUG if reply.status in _FREQUENT else logging.INFO
        if logger.isEnabledFor(level):
            extra = {
                "action": "message",
                "ms": round((time.monotonic() - started) * 1000, 1),
                "event_id": message.headers.get(ID, ""),
            }
            logger.log(level, "%s %d", message.path, reply.status, extra=extra)
        return reply

    async def _answer(self, message: HttpRequest) -> HttpResponse:
        action = self._actions.get(message.path)
        if action is None:
            self._rate_limited.warn("no such path here", action="message_refused", status=404)
            return HttpResponse(status=404)
        signer = self._worker.signer
        try:
            message_id = signer.verify(message.headers, message.body)
            outcome = await action(message.body)
        except BadSignature as error:
            stranger = "not signed by an APIGW of this installation: "
            reason = f"{'' if isinstance(error, ClocksDiffer) else stranger}{error}"
            self._rate_limited.warn(reason, action="message_refused", status=401)
            return HttpResponse(status=401, body=f"{reason}\n".encode())
        except OtherProtocol as error:
            # An APIGW of an earlier version polls several times a second.
            self._rate_limited.warn(error, action="message_refused", status=422)
            return HttpResponse(status=422, body=f"{error}\n".encode())
        except (BadEnvelope, ValueError, KeyError, TypeError) as error:
            return _refused(422, f"not a message that a worker reads: {error}")
        body = self._worker.report(outcome).to_bytes()
        headers = {"Content-Type": "application/json", **signer.sign(message_id, body)}
        return HttpResponse(headers=headers, body=body)

    async def _ask(self, body: bytes) -> Outcome | None:
        return await self._handle(body, Purpose.QUESTION)

    async def _deliver(self, body: bytes) -> Outcome | None:
        return await self._handle(body, Purpose.DELIVERY)

    async def _handles(self, body: bytes) -> Outcome | None:
        """Long poll for the handled events: replies when the plugin set changes or on timeout."""
        message = json.loads(body)
        if not isinstance(message, dict):
            raise BadEnvelope("expected an object")
        if (version := message.get("protocol", FIRST_PROTOCOL)) != PROTOCOL:
            raise OtherProtocol(version)
        self._worker.passes.know(str(message["source"]))
        await self._worker.wait_for_change(str(message["known"]), float(message["wait"]))
        return None

    async def _handle(self, body: bytes, purpose: Purpose) -> Outcome:
        """Handle an event of an APIGW of this installation, which is registered.

        Raises BadEnvelope for an event that was signed for another purpose: the path is not signed.
        """
        envelope = Envelope.from_bytes(body)
        if envelope.purpose is not purpose:
            raise BadEnvelope(f"signed as a {envelope.purpose}, sent as a {purpose}")
        self._worker.passes.know(envelope.source)
        return await self._worker.handlers.handle(envelope)


def _refused(status: int, reason: str) -> HttpResponse:
    logger.warning("%s", reason, extra={"action": "message_refused", "status": status})
    return HttpResponse(status=status, body=f"{reason}\n".encode())
