"""A `Routing` with everything around it, and a way to send it requests."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from qmonus_lite.auth.account import Account, Authority, Directory, Role
from qmonus_lite.auth.callout_pass import Passes
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.catalog.plugins import Catalog, MethodSpec, Route
from qmonus_lite.clock import Clock
from qmonus_lite.headers import Headers
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.routing.backend import Backends
from qmonus_lite.routing.message import Incoming, ScriptRequest
from qmonus_lite.routing.pipeline import Routing
from qmonus_lite.schema import Schema
from qmonus_lite.scripting.builtins.names import granted
from qmonus_lite.scripting.compiler import Script, compile_body
from qmonus_lite.scripting.context import ScriptContext
from qmonus_lite.scripting.origin import Origin
from qmonus_lite.scripting.runner import Runner
from qmonus_lite.scripting.script_threads import ScriptThreads

PLACE = "127.0.0.1:9099"
GIVEN = ("request", "route", "resources", "parameters", "session", "finish")


def _role(name: str, *methods: str, static_routing: bool = False) -> Role:
    authority = Authority(regex=re.compile("/v1/"), methods=frozenset(methods))
    return Role(name=name, authorities=(authority,), static_routing=static_routing)


DIRECTORY = Directory(
    accounts={
        name: Account(username=name, roles=(name,)) for name in ("reader", "writer", "guide")
    },
    roles={
        role.name: role
        for role in (
            _role("reader", "GET"),
            _role("writer", "GET", "PUT", "POST"),
            _role("guide", "GET", static_routing=True),
        )
    },
)


def script(text: str, hook: str = "request_forbidden_process") -> Script:
    """A script of a route that stands at line 10 of its file."""
    given = GIVEN if hook.startswith("request") else (*GIVEN, "response")
    origin = Origin(file="plugins/routes.yml", line=10, indent=4, label=f"/v1/x.{hook}")
    return compile_body(text, origin, granted(callout=None, options=None), given)


def spec(method: str, codes: Sequence[int] = (200,), **schemas: Mapping[str, Any]) -> MethodSpec:
    """What one method of a route takes."""
    return MethodSpec(
        method=method,
        command="callout",
        usage="sample",
        schemas={part: Schema(document) for part, document in schemas.items()},
        normal_codes=tuple(codes),
    )


@dataclass(kw_only=True)
class RouteOf:
    """A route in the words of a test."""

    path: str = "/v1/x"
    target: str | None = None
    authorities: Sequence[str] = ()
    needs_account: bool = False
    scheme: str = "http"
    specs: Sequence[MethodSpec] = ()
    request: str | None = None
    response: str | None = None

    def build(self) -> Route:
        return Route(
            template=PathTemplate.parse(self.path),
            needs_account=self.needs_account,
            authorities=tuple(self.authorities),
            target=PathTemplate.parse(self.target or self.path),
            target_scheme=self.scheme,
            methods={spec.method: spec for spec in self.specs},
            request_script=script(self.request) if self.request else None,
            response_script=(
                script(self.response, "response_forbidden_process") if self.response else None
            ),
        )


def catalog(*routes: RouteOf) -> Catalog:
    """A plugin set of these routes."""
    return Catalog(
        lambdas={},
        configs={},
        routes=tuple(route.build() for route in routes),
        roles={},
        accounts={},
        listed=(),
        fingerprint="1",
    )


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A whole answer."""

    code: int
    headers: Headers
    fields: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RoutingSetup:
    """One Routing."""

    def __init__(self, *, script_timeout: float | None = 5, answer_timeout: float = 5) -> None:
        clock = Clock("UTC")
        minter = Minter(key=b"k" * 32, clock=clock)
        self.gatekeeper = Gatekeeper(
            directory=lambda: DIRECTORY,
            minter=minter,
            passes=Passes(minter=minter),
            host_port=PLACE,
            clock=clock,
            token_ttl=60,
        )
        self.script_threads = ScriptThreads("test", max_threads=2)
        self.backends = Backends(
            connect_timeout=2, answer_timeout=answer_timeout, max_connections=8
        )
        self.routing = Routing(
            gatekeeper=self.gatekeeper,
            runner=Runner(script_threads=self.script_threads),
            backends=self.backends,
            script_context=lambda _catalog: ScriptContext(config=_no_config, publish=_no_event),
            script_timeout=script_timeout,
        )

    def token(self, name: str) -> str:
        """A token for an account."""
        return self.gatekeeper.token_for(name).token

    def pass_for(self, method: str, path: str) -> dict[str, str]:
        """What callout sends to let itself in."""
        return self.gatekeeper.passes.issue(PLACE, method, path)

    async def ask(
        self,
        routes: Catalog | RouteOf,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Send a request the way APIGW does; raises Problem."""
        path, _, query = url.partition("?")
        plugins = routes if isinstance(routes, Catalog) else catalog(routes)
        match = self.routing.find(plugins, path)
        assert match is not None
        incoming = incoming_of(method, path, query, headers or {})
        admission = await self.routing.admit(match, incoming)
        incoming.request.body = body
        answer = await self.routing.answer(admission, incoming, plugins)
        try:
            content = answer.body
            if not isinstance(content, bytes):
                content = b"".join([piece async for piece in content])
        finally:
            await answer.close()
        return Reply(
            code=answer.code,
            headers=Headers.combined(answer.headers),
            fields=answer.headers,
            body=content,
        )

    async def close(self) -> None:
        await self.backends.close()
        await self.script_threads.close(within=5)


def incoming_of(method: str, path: str, query: str, headers: Mapping[str, str]) -> Incoming:
    request = ScriptRequest(
        method=method,
        path=path,
        headers=Headers(headers),
        params=parse_qs(query, keep_blank_values=True),
        body=b"",
    )
    return Incoming(
        request=request,
        raw_path=path,
        raw_query=query,
        peer="192.0.2.7",
        scheme="https",
        host="gateway.example",
        session="the handler",
    )


def _no_config(name: str) -> Mapping[str, Any]:
    raise KeyError(name)


async def _no_event(name: str, event: dict[str, Any]) -> None:
    raise AssertionError(f"{name} was published")


@dataclass(kw_only=True)
class ReceivedRequest:
    """One request as a backend got it."""

    method: str
    raw_path: str
    headers: Headers
    body: bytes


@dataclass(kw_only=True)
class Echo:
    """What a backend received, and what it answers."""

    authority: str = ""
    received: list[ReceivedRequest] = field(default_factory=list)
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b"from the backend"

    @property
    def last(self) -> ReceivedRequest:
        return self.received[-1]
