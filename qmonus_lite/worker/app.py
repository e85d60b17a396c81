"""Endpoints of a Lambda worker: three signed POSTs, each answered with a signed report."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from qmonus_lite.auth.callout_pass import Passes
from qmonus_lite.catalog.live import Live
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.catalog.secret_values import SecretResolver
from qmonus_lite.events.envelope import (
    FIRST_PROTOCOL,
    PROTOCOL,
    BadEnvelope,
    Envelope,
    OtherProtocol,
    Purpose,
)
from qmonus_lite.events.inbox import Inbox
from qmonus_lite.events.outcome import Outcome, Report
from qmonus_lite.lambdas.chain import Chain
from qmonus_lite.log import bound
from qmonus_lite.rate_limited_log import RateLimitedLog
from qmonus_lite.scripting.runner import Runner
from qmonus_lite.transports.http.codec import HttpRequest, HttpResponse
from qmonus_lite.transports.http.signature import ID, BadSignature, Signer
from qmonus_lite.transports.http.signed_client import ASK, DELIVER, HANDLES

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Worker:
    """State shared by the endpoints of one worker."""

    live: Live
    signer: Signer
    passes: Passes
    secrets: SecretResolver
    #: Separate script threads for requests and deliveries: a slow delivery delays no upload.
    asked: Runner
    delivered: Runner
    inbox: Inbox
    #: Number of requests that are running handlers.
    running: int = 0
    #: Number of pending long polls.
    waiting: int = 0

    def __post_init__(self) -> None:
        #: Deliveries in progress, by event id; a duplicate waits for the first.
        self._under_way: dict[str, asyncio.Future[Outcome]] = {}
        self._changed = asyncio.Event()
        self._stopping = False
        self.live.on_change(self._change)

    async def run(self, envelope: Envelope, runner: Runner) -> Outcome:
        """Run the current handlers of an event; returns their outcome."""
        ids = envelope.ids
        chain = Chain(catalog=self.live.catalog, runner=runner, secrets=self.secrets, ids=ids)
        self.running += 1
        try:
            with bound(**ids.known):
                return await chain.run(envelope.type, envelope.data)
        finally:
            self.running -= 1

    async def deliver(self, envelope: Envelope) -> Outcome:
        """Handle a delivery once: a duplicate gets the outcome of the successful run."""
        while (first := self._under_way.get(envelope.id)) is not None:
            await asyncio.wait([first])
            if not first.cancelled():
                return first.result()
        mine = self._under_way[envelope.id] = asyncio.get_running_loop().create_future()
        try:
            outcome = await self._deliver_once(envelope)
            mine.set_result(outcome)
            return outcome
        finally:
            mine.cancel()
            del self._under_way[envelope.id]

    async def _deliver_once(self, envelope: Envelope) -> Outcome:
        # On the first attempt the event cannot be in the inbox.
        known = await self.inbox.find(envelope.id) if envelope.attempt > 1 else None
        if known is not None and known.handlers:
            return known
        outcome = await self.run(envelope, self.delivered)
        # Workers with different plugins may share the inbox: record only if a handler ran.
        if outcome.handlers and not outcome.refused:
            self.inbox.remember(envelope.id, outcome)
        return outcome

    def report(self, outcome: Outcome | None) -> Report:
        """Report that answers a message: handled events, catalog generation and outcome."""
        catalog = self.live.catalog
        return Report(
            handles=frozenset(catalog.events),
            generation=catalog.fingerprint,
            outcome=outcome,
            stopping=self._stopping,
        )

    async def wait_for_change(self, known: str, seconds: float) -> None:
        """Long poll: return when the plugin set differs from `known`, or after `seconds`."""
        if self.live.catalog.fingerprint == known:
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
        self._strangers = RateLimitedLog(logger)
        self._acts: dict[str, Callable[[bytes], Awaitable[Outcome | None]]] = {
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
        act = self._acts.get(message.path)
        if act is None:
            self._strangers.warn("no such path here", action="message_refused", status=404)
            return HttpResponse(status=404)
        signer = self._worker.signer
        try:
            message_id = signer.verify(message.headers, message.body)
            outcome = await act(message.body)
        except BadSignature as error:
            reason = f"not signed by an APIGW of this installation: {error}"
            self._strangers.warn(reason, action="message_refused", status=401)
            return HttpResponse(status=401, body=f"{reason}\n".encode())
        except OtherProtocol as error:
            # An APIGW of an earlier version polls several times a second.
            self._strangers.warn(error, action="message_refused", status=422)
            return HttpResponse(status=422, body=f"{error}\n".encode())
        except (BadEnvelope, ValueError, KeyError, TypeError, AttributeError) as error:
            return _refused(422, f"not a message that a worker reads: {error}")
        body = self._worker.report(outcome).to_bytes()
        headers = {"Content-Type": "application/json", **signer.sign(message_id, body)}
        return HttpResponse(headers=headers, body=body)

    async def _ask(self, body: bytes) -> Outcome | None:
        """A request event (request/reply): run its handlers now."""
        envelope = self._envelope(body, Purpose.QUESTION)
        return await self._worker.run(envelope, self._worker.asked)

    async def _deliver(self, body: bytes) -> Outcome | None:
        """A delivery from an outbox; the resulting event is not returned, as it is not used."""
        envelope = self._envelope(body, Purpose.DELIVERY)
        return replace(await self._worker.deliver(envelope), event={})

    async def _handles(self, body: bytes) -> Outcome | None:
        """Long poll for the handled events: replies when the plugin set changes or on timeout."""
        message = json.loads(body)
        if (version := message.get("protocol", FIRST_PROTOCOL)) != PROTOCOL:
            raise OtherProtocol(version)
        self._worker.passes.know(str(message["source"]))
        await self._worker.wait_for_change(str(message["known"]), float(message["wait"]))
        return None

    def _envelope(self, body: bytes, purpose: Purpose) -> Envelope:
        """Parse the event and register its source, an APIGW of this installation.

        Raises BadEnvelope for an event that was signed for another purpose: the path is not signed.
        """
        envelope = Envelope.from_bytes(body)
        if envelope.purpose is not purpose:
            raise BadEnvelope(f"signed as a {envelope.purpose}, sent as a {purpose}")
        self._worker.passes.know(envelope.source)
        return envelope


def _refused(status: int, reason: str) -> HttpResponse:
    logger.warning("%s", reason, extra={"action": "message_refused", "status": status})
    return HttpResponse(status=status, body=f"{reason}\n".encode())
