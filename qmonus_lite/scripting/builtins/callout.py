"""`callout`: HTTP client for scripts, with Qmonus's arguments; adds a pass for our own APIGWs."""

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tornado.httpclient import HTTPResponse

from qmonus_lite import trace_context
from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.log.context import current
from qmonus_lite.scripting import context
from qmonus_lite.scripting.builtins import callout_headers, callout_tls, no_answer
from qmonus_lite.scripting.builtins.outgoing import NO_ANSWER, Outgoing, OutgoingRequest
from qmonus_lite.scripting.builtins.raising import Error
from qmonus_lite.surrogates import NO_CHARACTER, has_surrogates
from qmonus_lite.values import Value, changed

if TYPE_CHECKING:
    import yarl
else:
    yarl = ImportedOnUse("yarl")

#: Credential headers that a script sets itself; with one of them a callout adds no pass.
_BROUGHT = frozenset({"x-auth-token", "x-api-key", "authorization"})
#: Codes of our own APIGWs that a script should not pass over in silence.
_NOT_DONE = {NO_ANSWER, HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.LOOP_DETECTED}


class Gateways(Value, frozen=True, kw_only=True):
    """Addresses and credentials of our own APIGWs."""

    #: `host:port` of callouts without an endpoint.
    default: Callable[[], str]
    #: Scheme of an own APIGW by `host:port`, or None for any other host.
    scheme: Callable[[str], str | None]
    #: Headers that authenticate a request, for (host:port, method, path).
    credential: Callable[[str, str, str], Mapping[str, str]]
    #: Signed value of the header for a number of gates that wait for a request.
    sign_depth: Callable[[int], str]
    #: Signed header with the request id and `traceparent` of the caller.
    sign_ids: Callable[[str, str], Mapping[str, str]]
    #: File with certificates trusted for our own APIGWs, besides those of the system.
    certfile: str | None = None


class Timeouts(Value, frozen=True, kw_only=True):
    """Default timeouts of a callout in seconds."""

    connect: float
    request: float


class Callout:
    """The `callout` of one process, as a callable."""

    def __init__(self, outgoing: Outgoing, gateways: Gateways, timeouts: Timeouts) -> None:
        self._outgoing = outgoing
        self._gateways = gateways
        self._timeouts = timeouts

    def imported(self) -> "Callout":
        """Import the HTTP client: when a script that reads the name is loaded."""
        import_module("aiohttp")
        return self

    async def __call__(  # noqa: PLR0913 - the signature is Qmonus SDK's, and scripts rely on it
        self,
        path: str | None = None,
        method: str = "GET",
        body: object = None,
        headers: Mapping[str, str] | None = None,
        url: str | None = None,
        endpoint: str | None = None,
        static_route: str | None = None,
        xid: str | None = None,
        xname: str | None = None,
        scenario_resume_index: int | None = None,
        scenario_iteration: bool = False,
        connect_timeout: float | None = None,
        request_timeout: float | None = None,
        retry_interval: float = 0,
        retry_count: int = 0,
        retry_codes: Sequence[int] = (NO_ANSWER,),
        delay: float = 0,
        authentication: str | tuple[str, str] | None = None,
        lambda_termination: bool = True,
        validate_cert: bool = True,
        ca_certs: str | None = None,
        client_key: str | None = None,
        client_cert: str | None = None,
        response_jsonify: bool = False,
        via_apigw: bool = True,
        auto_url_encode: bool = False,
    ) -> HTTPResponse:
        """Send a request; gives Tornado's HTTPResponse (`code`, `headers`, `body`, `error`).

        `url` is absolute; else `path` goes to `endpoint` (`host:port` or `http(s)://host:port`,
        default our own APIGW). A dict or list as `body` is sent as JSON. A missing answer is code
        599, and no code raises; a 3xx is returned, not followed. Framing and hop-by-hop fields are
        removed from `headers`. `authentication` is a token for `X-Auth-Token` or
        `(user, password)`. With `response_jsonify` the `body` is the parsed JSON.
        Raises Error(400) for a call with neither url nor path, or with an invalid one.

        Accepted without effect, for services that qmonus_lite lacks: xid, xname,
        scenario_resume_index, scenario_iteration, lambda_termination, via_apigw.
        """
        target = self._target(url, endpoint, path, auto_url_encode)
        own = self._is_own(target)
        sent = callout_headers.fields(headers, body, static_route, authentication)
        tls, tls_of_other_name = self._trust(own, validate_cert, ca_certs, client_cert, client_key)
        message = OutgoingRequest(
            url=str(target),
            method=method.upper(),
            headers=sent,
            body=callout_headers.payload(body),
            connect_timeout=connect_timeout or self._timeouts.connect,
            # Our own APIGW limits its scripts, and the calling script has a time limit too.
            request_timeout=request_timeout or (None if own else self._timeouts.request),
            tls=tls,
            tls_of_other_name=tls_of_other_name,
        )
        await asyncio.sleep(delay)
        response = await self._send(message, target, own)
        while retry_count > 0 and response.code in retry_codes:
            retry_count -= 1
            await asyncio.sleep(retry_interval)
            response = await self._send(message, target, own)
        return _jsonified(response) if response_jsonify else response

    async def _send(self, message: OutgoingRequest, target: "yarl.URL", own: bool) -> HTTPResponse:
        """One attempt. Each has its own pass, which expires soon, and its own span."""
        message = changed(message, headers=self._with_ids(message.headers, own))
        if own and (depth := context.waiting_gates()):
            field = {context.GATE_DEPTH: self._gateways.sign_depth(depth)}
            message = changed(message, headers={**_without_depth(message.headers), **field})
        if own and not _BROUGHT & {name.lower() for name in message.headers}:
            # The path as the client will send it: spaces and the like percent-encoded.
            issued = self._gateways.credential(_host_port(target), message.method, target.raw_path)
            message = changed(message, headers={**message.headers, **issued})
        response = await self._outgoing.send(message)
        if own:
            _note(message, target, response)
        return response

    def _with_ids(self, headers: Mapping[str, str], own: bool) -> dict[str, str]:
        """The headers with a new span of the caller's trace, unless the script gave one itself.

        Our own APIGWs get the request id of the caller as well, signed.
        """
        fields = current()
        traceparent = trace_context.child_of(trace_context.of_log_fields(fields))
        sent = dict(headers)
        if traceparent and trace_context.HEADER.lower() not in {name.lower() for name in headers}:
            sent[trace_context.HEADER] = traceparent
        if own and (request_id := fields.get("request_id")):
            signed = self._gateways.sign_ids(request_id, traceparent)
            # In place of those that the script copied from its own request.
            replaced = {name.lower() for name in signed}
            sent = {name: value for name, value in sent.items() if name.lower() not in replaced}
            sent |= signed
        return sent

    def _trust(
        self, own: bool, validate: bool, ca_certs: str | None, cert: str | None, key: str | None
    ) -> tuple[ssl.SSLContext | bool, ssl.SSLContext | None]:
        """TLS settings, and those for an own APIGW whose certificate has another name."""
        certfile = self._gateways.certfile
        if own and certfile and validate and not ca_certs and not cert:
            own_trust = callout_tls.for_own(certfile)
            return own_trust.named, own_trust.pinned
        trusted = ca_certs or (certfile if own else None)
        return callout_tls.settings(validate, trusted, cert, key), None

    def _target(
        self, url: str | None, endpoint: str | None, path: str | None, encode: bool
    ) -> "yarl.URL":
        if url is None:
            if path is None:
                raise Error(400, "callout needs a path or a url")
            where = endpoint or self._gateways.default()
            if "://" not in where:
                where = f"{self._gateways.scheme(where) or 'http'}://{where}"
            url = where.rstrip("/") + "/" + path.lstrip("/")
        # The URL parser would leave them out, and so call another path.
        if has_surrogates(url):
            raise Error(400, f"callout: not a usable URL: {NO_CHARACTER}")
        return _parsed(quote(url, safe="%/:=&?~#+!$,;'@()*[]") if encode else url)

    def _is_own(self, url: "yarl.URL") -> bool:
        return self._gateways.scheme(_host_port(url)) == url.scheme


def _without_depth(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers without a depth that the script copied from its event."""
    name = context.GATE_DEPTH.lower()
    return {key: value for key, value in headers.items() if key.lower() != name}


def _host_port(url: "yarl.URL") -> str:
    return f"{url.host_subcomponent}:{url.port}"


def _parsed(text: str) -> "yarl.URL":
    # Parsed by the library that sends it, so that two URL parsers cannot disagree on the host.
    try:
        url = yarl.URL(text)
    except ValueError as error:
        raise Error(400, f"callout: not a usable URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise Error(400, "callout: not a usable URL; expected http(s)://host[:port]/path")
    return url


def _note(message: OutgoingRequest, target: "yarl.URL", response: HTTPResponse) -> None:
    """Record for the end of the run whether one of our own APIGWs answered."""
    where = no_answer.shown(target)
    if response.code in _NOT_DONE:
        context.note_unanswered(message.method, where, response.code, response.reason)
    else:
        context.note_answered(message.method, where)


class _JsonResponse(HTTPResponse):
    """An HTTPResponse whose `body` is its parsed JSON."""

    json: Any = None

    @property
    def body(self) -> Any:
        return self.json


def _jsonified(response: HTTPResponse) -> HTTPResponse:
    parsed = _JsonResponse(
        response.request, response.code, headers=response.headers, reason=response.reason
    )
    parsed.error = response.error
    try:
        parsed.json = json.loads(response.body or b"null")
    except ValueError as error:
        raise Error(502, f"callout: the answer is not JSON: {error}") from None
    return parsed
