"""The worker's door: three signed POSTs, each answered with a signed report."""

import asyncio
import json
import logging
from dataclasses import dataclass

from tornado.web import Application, RequestHandler

from qmonus_lite.auth.callout_pass import Passes
from qmonus_lite.catalog.live import Live
from qmonus_lite.catalog.opening import Opener
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.events.envelope import BadEnvelope, Envelope
from qmonus_lite.events.inbox import Inbox
from qmonus_lite.events.outcome import Outcome, Report
from qmonus_lite.events.sender import ASK, DELIVER, HANDLES
from qmonus_lite.events.signature import ID, BadSignature, Signer
from qmonus_lite.lambdas.chain import Chain
from qmonus_lite.log import bound
from qmonus_lite.scripting.runner import Runner

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Worker:
    """What the doors of one worker share."""

    live: Live
    signer: Signer
    passes: Passes
    opener: Opener
    #: Questions and deliveries do not share lanes: a slow delivery delays no upload.
    asked: Runner
    delivered: Runner
    inbox: Inbox
    #: Requests that run handlers now.
    running: int = 0

    def __post_init__(self) -> None:
        #: Deliveries under way, by event id: a repeat waits for the first.
        self._under_way: dict[str, asyncio.Future[Outcome]] = {}
        self._changed = asyncio.Event()
        self.live.on_change(self._change)

    async def run(self, envelope: Envelope, runner: Runner) -> Outcome:
        """What the handlers in force make of an event."""
        chain = Chain(catalog=self.live.catalog, runner=runner, opener=self.opener)
        self.running += 1
        try:
            with bound(event_id=envelope.id):
                return await chain.run(envelope.type, envelope.data)
        finally:
            self.running -= 1

    async def deliver(self, envelope: Envelope) -> Outcome:
        """Handle a delivery, once: a repeat gets the outcome of the time that it went well."""
        if (first := self._under_way.get(envelope.id)) is not None:
            return await asyncio.shield(first)
        mine = self._under_way[envelope.id] = asyncio.get_running_loop().create_future()
        try:
            outcome = await self._deliver_once(envelope)
            mine.set_result(outcome)
            return outcome
        finally:
            mine.cancel()
            del self._under_way[envelope.id]

    async def _deliver_once(self, envelope: Envelope) -> Outcome:
        # A first attempt cannot have been handled before.
        known = await self.inbox.find(envelope.id) if envelope.attempt > 1 else None
        if known is not None:
            return known
        outcome = await self.run(envelope, self.delivered)
        if not outcome.refused:
            self.inbox.remember(envelope.id, outcome)
        return outcome

    def report(self, outcome: Outcome | None) -> Report:
        """The answer to a message."""
        catalog = self.live.catalog
        return Report(
            handles=frozenset(catalog.events), generation=catalog.fingerprint, outcome=outcome
        )

    async def wait_for_change(self, known: str, seconds: float) -> None:
        """Return when the plugin set is another than `known`, or after some seconds."""
        if self.live.catalog.fingerprint == known:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def release(self) -> None:
        """Let everybody who waits for a change go: the worker stops."""
        self._changed.set()

    def _change(self, _catalog: Catalog) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class _Door(RequestHandler):
    """One signed message in, one signed report out."""

    def initialize(self, worker: Worker) -> None:
        """Take what all doors share."""
        self.worker = worker

    async def post(self) -> None:
        """Verify, act, answer."""
        body = self.request.body
        try:
            message_id = self.worker.signer.verify(self.request.headers, body)
            outcome = await self.act(body)
        except BadSignature as error:
            self._refuse(401, f"not signed by an APIGW of this installation: {error}")
            return
        except (BadEnvelope, ValueError, KeyError, TypeError) as error:
            self._refuse(422, f"not a message that a worker reads: {error}")
            return
        answer = self.worker.report(outcome).to_bytes()
        for name, value in self.worker.signer.sign(message_id, answer).items():
            self.set_header(name, value)
        self.set_header("Content-Type", "application/json")
        self.finish(answer)

    async def act(self, body: bytes) -> Outcome | None:
        """Do what the message asks for."""
        raise NotImplementedError

    def envelope(self, body: bytes) -> Envelope:
        """The event of the message; its sender is one of our own APIGWs."""
        envelope = Envelope.from_bytes(body)
        self.worker.passes.know(envelope.source)
        return envelope

    def _refuse(self, status: int, reason: str) -> None:
        logger.warning("%s", reason, extra={"action": "message_refused", "status": status})
        self.set_status(status)
        self.finish(reason + "\n")


class _Ask(_Door):
    """A question: its handlers run at once."""

    async def act(self, body: bytes) -> Outcome | None:
        return await self.worker.run(self.envelope(body), self.worker.asked)


class _Deliver(_Door):
    """A delivery from an outbox."""

    async def act(self, body: bytes) -> Outcome | None:
        return await self.worker.deliver(self.envelope(body))


class _Handles(_Door):
    """Which events are handled; held open until that changes."""

    async def act(self, body: bytes) -> Outcome | None:
        message = json.loads(body)
        self.worker.passes.know(str(message["source"]))
        await self.worker.wait_for_change(str(message["known"]), float(message["wait"]))
        return None


def make_app(worker: Worker) -> Application:
    """The Tornado application of one worker."""
    shared = {"worker": worker}
    return Application(
        [(ASK, _Ask, shared), (DELIVER, _Deliver, shared), (HANDLES, _Handles, shared)],
        log_function=_log_message,
    )


def _log_message(door: RequestHandler) -> None:
    """One record for one message that ran handlers."""
    request = door.request
    level = logging.DEBUG if request.path == HANDLES else logging.INFO
    ms = round(request.request_time() * 1000, 1)
    extra = {"action": "message", "ms": ms, "event_id": request.headers.get(ID, "")}
    logger.log(level, "%s %d", request.path, door.get_status(), extra=extra)
