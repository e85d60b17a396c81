"""`callout`: HTTP from a script, with Qmonus's arguments; our own APIGW lets it in by a pass."""

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tornado.httpclient import HTTPResponse
from yarl import URL

from qmonus_lite.scripting.builtins.outgoing import NO_ANSWER, Message, Outgoing
from qmonus_lite.scripting.builtins.raising import Error


@dataclass(frozen=True, kw_only=True)
class Gateways:
    """What callout knows of our own APIGWs."""

    #: `host:port` that a callout without an endpoint goes to.
    default: Callable[[], str]
    #: Scheme of an own APIGW by `host:port`, or None for a host that is not ours.
    scheme: Callable[[str], str | None]
    #: Headers that let a request in, for (host:port, method, path).
    credential: Callable[[str, str, str], Mapping[str, str]]
    #: Certificates that our own APIGWs are trusted by, or None for those of the system.
    certfile: str | None = None


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds that a callout has unless its call says otherwise."""

    connect: float
    request: float


class Callout:
    """The `callout` of one process; call it."""

    def __init__(self, outgoing: Outgoing, gateways: Gateways, timeouts: Timeouts) -> None:
        self._outgoing = outgoing
        self._gateways = gateways
        self._timeouts = timeouts

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
        default our own APIGW). A dict or list as `body` is sent as JSON. No answer is code 599, and
        no code raises; a 3xx is given back, not followed. `authentication` is a token for
        `X-Auth-Token` or `(user, password)`. With `response_jsonify` the `body` is the parsed JSON.
        Raises Error(400) for a call that names neither url nor path, or no usable one.

        Accepted without effect, for services that qmonus_lite lacks: xid, xname,
        scenario_resume_index, scenario_iteration, lambda_termination, via_apigw.
        """
        target = self._target(url, endpoint, path, auto_url_encode)
        trusted = ca_certs or (self._gateways.certfile if self._is_ours(target) else None)
        payload, kind = _payload(body)
        sent = _headers(headers, kind, static_route, authentication)
        message = Message(
            url=str(target),
            method=method.upper(),
            headers=sent | self._pass(target, method.upper(), sent),
            body=payload,
            connect_timeout=connect_timeout or self._timeouts.connect,
            request_timeout=request_timeout or self._timeouts.request,
            tls=_tls(validate_cert, trusted, client_cert, client_key),
        )
        await asyncio.sleep(delay)
        response = await self._outgoing.send(message)
        for _ in range(retry_count):
            if response.code not in retry_codes:
                break
            await asyncio.sleep(retry_interval)
            response = await self._outgoing.send(message)
        return _jsonified(response) if response_jsonify else response

    def _target(self, url: str | None, endpoint: str | None, path: str | None, encode: bool) -> URL:
        if url is None:
            if path is None:
                raise Error(400, "callout needs a path or a url")
            where = endpoint or self._gateways.default()
            if "://" not in where:
                where = f"{self._gateways.scheme(where) or 'http'}://{where}"
            url = where.rstrip("/") + "/" + path.lstrip("/")
        return _parsed(quote(url, safe="%/:=&?~#+!$,;'@()*[]") if encode else url)

    def _pass(self, url: URL, method: str, headers: Mapping[str, str]) -> dict[str, str]:
        """The credential for one of our own APIGWs, unless the script brought one; else nothing."""
        brought = {name.lower() for name in headers} & {"x-auth-token", "authorization"}
        if brought or not self._is_ours(url):
            return {}
        # The path as the client will send it: spaces and the like percent-encoded.
        return dict(self._gateways.credential(_place(url), method, url.raw_path))

    def _is_ours(self, url: URL) -> bool:
        return self._gateways.scheme(_place(url)) == url.scheme


def _place(url: URL) -> str:
    return f"{url.host_subcomponent}:{url.port}"


def _parsed(text: str) -> URL:
    # Parsed by what sends it, so that no two readers of a URL differ over its host.
    try:
        url = URL(text)
    except ValueError as error:
        raise Error(400, f"callout: not a usable URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise Error(400, "callout: not a usable URL; expected http(s)://host[:port]/path")
    return url


def _payload(body: object) -> tuple[bytes | None, str | None]:
    """The bytes to send and their Content-Type, if it follows from the type."""
    if body is None or isinstance(body, bytes):
        return body, None
    if isinstance(body, str):
        return body.encode(), None
    return json.dumps(body, ensure_ascii=False).encode(), "application/json"


def _headers(
    given: Mapping[str, str] | None,
    kind: str | None,
    static_route: str | None,
    authentication: str | tuple[str, str] | None,
) -> dict[str, str]:
    headers = {name: str(value) for name, value in (given or {}).items()}
    names = {name.lower() for name in headers}
    if kind and "content-type" not in names:
        headers["Content-Type"] = kind
    if static_route:
        headers["X-Xaas-Static-Routing"] = static_route
    if isinstance(authentication, str):
        headers["X-Auth-Token"] = authentication
    elif authentication:
        pair = base64.b64encode(":".join(authentication).encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    return headers


def _tls(
    validate: bool, ca_certs: str | None, cert: str | None, key: str | None
) -> ssl.SSLContext | bool:
    if validate and not ca_certs and not cert:
        return True
    context = ssl.create_default_context(cafile=ca_certs)
    if cert:
        context.load_cert_chain(cert, key)
    if not validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _JsonResponse(HTTPResponse):
    """An answer whose `body` is its parsed JSON."""

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
