"""The pipeline that every request passes, however its bytes were read.

A way to read requests (`connection`, `tornado_adapter`) only makes a `Request` and a `Body` and
sends the `Response`; what is done with a request, and in which order, is `STEPS` and the endpoint
behind them. A rule for all requests is one more of `framing.RULES`, if it needs only the head, or
of `RULES`, if it needs the state of the server.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from qmonus_lite.errors import (
    InternalFault,
    Problem,
    Rule,
    Stage,
    Stopping,
    Terminated,
    refusal_of,
)
from qmonus_lite.http.body import Body, ClientLeft
from qmonus_lite.http.framing import check_framing
from qmonus_lite.http.request import Request
from qmonus_lite.http.request_ids import take_ids_of_caller
from qmonus_lite.http.response import Response, error_response
from qmonus_lite.http.state import ServerState
from qmonus_lite.log import bound
from qmonus_lite.observations import Observers, RequestAnswered, RequestRecord
from qmonus_lite.trace_context import log_fields
from qmonus_lite.values import changed

logger = logging.getLogger(__name__)

#: Field with the signed ids of a callout (`auth.caller_ids`), in lower case.
CALLER_IDS = "x-qmonus-lite-caller-ids"

#: Processes a request; raises Problem, Terminated, or ClientLeft from reading the body.
Handler = Callable[[Request, Body], Awaitable[Response]]
#: Wraps a handler. A step that only refuses is a plain function, which costs no coroutine.
Step = Callable[[Handler, ServerState], Handler]
#: Sends the response to a request.
Send = Callable[[Request, Response], Awaitable[None]]


def errors_to_responses(handler: Handler, state: ServerState) -> Handler:
    """Respond to Problem, Terminated and unexpected exceptions; the latter are logged here, once.

    A response before the end of the body closes the connection, since what follows is the rest of
    that body; so does an error response of a server that stops.
    """

    async def answer(request: Request, body: Body) -> Response:
        record = request.record
        if given := request.head.values(CALLER_IDS):
            _take_ids_of_caller(record, given, state)
        with _bound_ids(record):
            try:
                return await handler(request, body)
            except (Problem, Terminated) as error:
                closes = state.draining or not body.consumed
                record.refusal = refusal_of(error)
                response = error_response(error, record.request_id)
            except ClientLeft:
                raise
            except Exception:
                logger.exception("request failed", extra={"action": "request_failed"})
                closes = state.draining or request.head.body_follows
                problem = InternalFault(HTTPStatus.INTERNAL_SERVER_ERROR.description)
                record.refusal = refusal_of(problem)
                response = error_response(problem, record.request_id)
        return changed(response, closes=True) if closes else response

    return answer


def _bound_ids(record: RequestRecord) -> bound:
    if record.traceparent:
        return bound(request_id=record.request_id, **log_fields(record.traceparent))
    return bound(request_id=record.request_id)


def _take_ids_of_caller(record: RequestRecord, given: Sequence[str], state: ServerState) -> None:
    ids = state.ids_of_caller(given[0]) if len(given) == 1 else None
    if ids is not None:
        take_ids_of_caller(record, ids)


def refuse_by_framing(handler: Handler, _state: ServerState) -> Handler:
    """Refuse a head that breaks one of `framing.RULES`."""

    def check(request: Request, body: Body) -> Awaitable[Response]:
        check_framing(request.head)
        return handler(request, body)

    return check


def check_running(state: ServerState) -> None:
    """Check that the server is not stopping; raises Stopping."""
    if state.draining:
        raise Stopping("this APIGW is stopping")


#: Rules on the state of the server, for every request.
RULES: tuple[Rule[ServerState], ...] = (
    Rule(
        name="stopping",
        stage=Stage.HEAD,
        check=check_running,
        problems=(Stopping,),
        refuses="every request while this APIGW is stopping",
    ),
)
_CHECKS = tuple(rule.check for rule in RULES)


def refuse_by_state(handler: Handler, state: ServerState) -> Handler:
    """Refuse requests by the rules on the state of the server (`RULES`)."""

    def check(request: Request, body: Body) -> Awaitable[Response]:
        for check_state in _CHECKS:
            check_state(state)
        return handler(request, body)

    return check


#: What a request passes before its endpoint, outermost first.
STEPS: tuple[Step, ...] = (errors_to_responses, refuse_by_framing, refuse_by_state)


class Pipeline:
    """The steps of one server around its endpoint; counts active requests, reports the answered."""

    def __init__(self, endpoint: Handler, state: ServerState, observers: Observers) -> None:
        self.state = state
        self._observers = observers
        self._handler = endpoint
        for step in reversed(STEPS):
            self._handler = step(self._handler, state)

    async def serve(self, request: Request, body: Body, send: Send) -> None:
        """Process a request, send its response, and report it; nothing if the client left."""
        active = self.state.active
        active.add(request)
        try:
            response = await self._handler(request, body)
            await send(request, response)
        except ClientLeft:
            return
        finally:
            active.discard(request)
        self._report(request, response)

    def _report(self, request: Request, response: Response) -> None:
        record = request.record
        answered = RequestAnswered(
            method=request.head.method,
            path=request.path,
            status=response.status,
            seconds=time.monotonic() - request.received_at,
            peer=request.client,
            request_id=record.request_id,
            traceparent=record.traceparent,
            upload_id=record.upload_id,
            account=record.account,
            refusal=record.refusal,
            bytes=record.bytes,
            stored_path=record.stored_path,
        )
        self._observers.notify(answered)
