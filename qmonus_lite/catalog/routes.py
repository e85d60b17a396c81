"""Build a `Route` from one entry of a routing file."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from qmonus_lite.catalog.document import Pointer
from qmonus_lite.catalog.kinds import ROUTING
from qmonus_lite.catalog.plugins import MethodSpec, Route
from qmonus_lite.errors import Refusal
from qmonus_lite.pathtemplate import BadTemplate, PathTemplate
from qmonus_lite.schema import BadSchema, Schema
from qmonus_lite.scripting.compiler import Script, compile_body
from qmonus_lite.scripting.origin import Origin

_PARTS = ("headers", "params", "resources", "body")
_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"})


class RouteEntry(Protocol):
    """One entry of a routing file: `builders.PluginEntry`."""

    @property
    def value(self) -> Mapping[str, Any]:
        """What it says, of the right shape."""

    def fault(self, pointer: Pointer, message: str) -> None:
        """Record a fault at a path below this entry."""

    def place(self, pointer: Pointer) -> Refusal:
        """Plugin file, line and content hash of a path below this entry."""

    def script(self, key: str, name: str, build: Callable[[str, Origin], Script]) -> Script | None:
        """The compiled script under `key`; records its faults."""


class RouteBuilder:
    """Builds one route; faults are recorded in its entry."""

    def __init__(
        self,
        entry: RouteEntry,
        names: Mapping[str, object],
        reserved: Callable[[PathTemplate], str | None],
    ) -> None:
        self._entry = entry
        self._value = entry.value
        self._names = names
        self._reserved = reserved
        self._fault = entry.fault

    def build(self) -> Route | None:
        """The route, or None if its paths are invalid."""
        proxy, target = self._value["proxy"], self._value.get("target", {})
        public = self._template(("proxy", "path"), proxy["path"])
        behind = public
        if "path" in target:
            behind = self._template(("target", "path"), target["path"])
        if public is None or behind is None:
            return None
        if reason := self._reserved(public):
            self._fault(("proxy", "path"), f"{public.text!r} {reason}")
        if foreign := set(behind.names) - set(public.names):
            names = ", ".join(sorted(foreign))
            self._fault(("target", "path"), f"names {names}, which proxy.path does not have")
        authorization = proxy.get("authorization", {})
        return Route(
            template=public,
            needs_account=authorization.get("auth_mode", "axis") != "none",
            authorities=tuple(self._value["authorities"]),
            target=behind,
            target_scheme=target.get("scheme", "http").rstrip(":"),
            methods=self._methods(),
            request_script=self._hook("request_forbidden_process"),
            response_script=self._hook("response_forbidden_process"),
            timeout=self._value.get("timeout"),
        )

    def _template(self, pointer: Pointer, text: str) -> PathTemplate | None:
        try:
            return PathTemplate.parse(text)
        except BadTemplate as error:
            self._fault(pointer, str(error))
            return None

    def _hook(self, key: str) -> Script | None:
        if key not in self._value:
            return None
        given = ROUTING.scripts[key].given
        return self._entry.script(
            key,
            self._value["proxy"]["path"],
            lambda text, origin: compile_body(text, origin, self._names, given),
        )

    def _methods(self) -> dict[str, MethodSpec]:
        methods: dict[str, MethodSpec] = {}
        for index, spec in enumerate(self._value.get("spec", [])):
            method = spec["method"].upper()
            if method not in _METHODS:
                self._fault(("spec", index, "method"), f"{method!r} is not an HTTP method of ours")
            if method in methods:
                self._fault(("spec", index, "method"), f"{method} is described twice")
            methods[method] = self._spec(index, method, spec)
        return methods

    def _spec(self, index: int, method: str, spec: Mapping[str, Any]) -> MethodSpec:
        schema = spec.get("schema", {})
        normal = schema.get("response", {}).get("normal", {})
        return MethodSpec(
            method=method,
            command=spec.get("command", ""),
            usage=spec.get("usage", ""),
            schemas=self._schemas(index, schema.get("request", {})),
            normal_codes=tuple(normal.get("codes", [200])),
            place=self._entry.place(("spec", index, "schema", "request")),
        )

    def _schemas(self, index: int, request: Mapping[str, Any]) -> dict[str, Schema]:
        schemas: dict[str, Schema] = {}
        for part in (part for part in _PARTS if part in request):
            at: Pointer = ("spec", index, "schema", "request", part)
            try:
                schemas[part] = Schema(request[part])
            except BadSchema as error:
                self._fault((*at, *error.pointer), f"not a usable JSON Schema: {error}")
        return schemas
