"""Pipeline of a routed request, from its path to its answer."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from http import HTTPStatus
from typing import Any

from qmonus_lite.auth import own
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.catalog.plugins import Catalog, Route
from qmonus_lite.headers import Headers
from qmonus_lite.routing import forward, hop_by_hop
from qmonus_lite.routing.admission import AuthorizedRequest, admit
from qmonus_lite.routing.backend import Backends, Call, Received
from qmonus_lite.routing.hook import Hook
from qmonus_lite.routing.match import Match, best
from qmonus_lite.routing.message import Incoming, RouteResponse, ScriptResponse, without_body
from qmonus_lite.routing.validation import validate
from qmonus_lite.scripting.context import ScriptContext
from qmonus_lite.scripting.runner import Runner
from qmonus_lite.values import Value, changed

#: Bodies of at least so many bytes are parsed outside of the event loop.
LARGE_BODY_BYTES = 32 << 10
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Routing:
    """Handles requests to routes of plugins."""

    def __init__(
        self,
        *,
        gatekeeper: Gatekeeper,
        runner: Runner,
        backends: Backends,
        script_context: Callable[[Catalog], ScriptContext],
        script_timeout: float | None,
    ) -> None:
        self._gatekeeper = gatekeeper
        self._hook = Hook(runner=runner, timeout=script_timeout)
        self._backends = backends
        self._script_context = script_context
        # One thread: parsing and validation hold the GIL, so a second thread would only use more
        # memory, and leave the event loop a third of the CPU time instead of half.
        self._body_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="check-body")

    def find(self, catalog: Catalog, raw_path: str) -> Match | None:
        """The route that matches a path, which is still percent-encoded, or None."""
        return best(catalog.routes, raw_path)

    async def admit(self, match: Match, incoming: Incoming) -> AuthorizedRequest:
        """Check authorization, method and path; raises Problem. Does not need the body."""
        return admit(self._gatekeeper, match, incoming)

    async def answer(
        self, admission: AuthorizedRequest, incoming: Incoming, catalog: Catalog
    ) -> RouteResponse:
        """Run schema validation, scripts and backend call; raises Problem.

        The caller closes the response after sending it.
        """
        script_context = _redacting(self._script_context(catalog), admission.own_credentials)
        if depth := self._gatekeeper.gate_depth(incoming.request.headers):
            script_context = changed(script_context, gate_depth=depth)
        routed = await self._begin(admission, incoming, script_context)
        outcome = await self._request(routed)
        if isinstance(outcome, RouteResponse):
            return await _trimmed(outcome, admission.method, keep_length=True)
        received = await self._backends.send(outcome)
        answer = await self._response(routed, received)
        # A response script gets no body for HEAD, so the length it leaves is meaningless.
        keep_length = not routed.route.response_script
        return await _trimmed(answer, admission.method, keep_length=keep_length)

    async def _begin(
        self, admission: AuthorizedRequest, incoming: Incoming, script_context: ScriptContext
    ) -> "_RoutedRequest":
        if len(incoming.request.body) < LARGE_BODY_BYTES:
            return _RoutedRequest.begin(admission, incoming, script_context)
        loop, begin = asyncio.get_running_loop(), copy_context().run
        return await loop.run_in_executor(
            self._body_executor, begin, _RoutedRequest.begin, admission, incoming, script_context
        )

    async def _request(self, routed: "_RoutedRequest") -> RouteResponse | Call:
        script = routed.route.request_script
        if script is None:
            return routed.call()
        hook = self._hook.with_timeout(routed.route.timeout)
        return await hook.run(script, routed.given, routed.script_context, routed.call)

    async def _response(self, routed: "_RoutedRequest", received: Received) -> RouteResponse:
        fields = hop_by_hop.client_fields(received.fields)
        script = routed.route.response_script
        if script is None:
            return RouteResponse(code=received.code, headers=fields, body=received.body)
        response = ScriptResponse(
            code=received.code,
            headers=Headers.combined(fields),
            body=await received.body.read(),
        )
        given = {**routed.given, "response": response}
        hook = self._hook.with_timeout(routed.route.timeout)
        return await hook.run(
            script, given, routed.script_context, lambda: forward.to_client(response, fields)
        )


class _RoutedRequest(Value, frozen=True, kw_only=True):
    """State of a request in the pipeline of a route."""

    admission: AuthorizedRequest
    incoming: Incoming
    original: forward.OriginalTarget
    #: Arguments of the scripts, by name.
    given: Mapping[str, object]
    script_context: ScriptContext

    @classmethod
    def begin(
        cls, admission: AuthorizedRequest, incoming: Incoming, script_context: ScriptContext
    ) -> "_RoutedRequest":
        """Validate the request against its schemas; raises SchemaMismatch."""
        request = incoming.request
        original = forward.OriginalTarget.of(request)
        resources = dict(admission.resources)
        own.hide_from_scripts(request.headers)
        validate(admission.spec, request, resources)
        given = {
            "request": request,
            "route": admission.match.route,
            "resources": resources,
            "parameters": request.params,
            "session": incoming.session,
        }
        return cls(
            admission=admission,
            incoming=incoming,
            original=original,
            given=given,
            script_context=script_context,
        )

    @property
    def route(self) -> Route:
        """The matched route."""
        return self.admission.match.route

    def call(self) -> Call:
        """The backend call for the current state of the request; raises InvalidResult."""
        return forward.to_backend(self.admission, self.incoming, self.original)


def _redacting(script_context: ScriptContext, secrets: frozenset[str]) -> ScriptContext:
    """A script context that redacts `secrets` from published events."""
    if not secrets:
        return script_context

    async def publish(name: str, event: dict[str, Any]) -> Any:
        return await script_context.publish(name, own.masked(event, secrets))

    return changed(script_context, publish=publish)


async def _trimmed(answer: RouteResponse, method: str, *, keep_length: bool) -> RouteResponse:
    """The response without a body where HTTP allows none (HEAD, 204, 304)."""
    if method != "HEAD" and answer.code not in _BODILESS:
        return answer
    await answer.close()
    return without_body(answer, keep_length=keep_length and answer.code not in _BODILESS)
