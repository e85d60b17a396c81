"""What a plugin file becomes: a value for every kind, compiled and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qmonus_lite.auth.account import Account, Role
from qmonus_lite.catalog.lint.warning import PluginWarning
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.schema import Schema
from qmonus_lite.scripting.compiler import Script


@dataclass(frozen=True, kw_only=True)
class LambdaPlugin:
    """A handler of one event."""

    name: str
    #: Name of the event that it handles.
    event: str
    script: Script
    #: Event that follows a normal end.
    success: str | None = None
    #: Event that follows an exception.
    failure: str | None = None
    #: Seconds that one run may take.
    timeout: float | None = None
    #: Credential headers that its promised events carry unmasked, in lower case.
    keep_headers: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class ConfigPlugin:
    """Named values; `Env` and `Sealed` among them are opened at use."""

    name: str
    values: Mapping[str, Any]
    #: Base name of the file, which sealed values are bound to.
    file_name: str


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """What one method of a route takes and gives."""

    method: str
    #: Names for people and for OpenAPI.
    command: str
    usage: str
    #: Schemas by part: `headers`, `params`, `resources`, `body`.
    schemas: Mapping[str, Schema]
    #: Status codes of a normal answer.
    normal_codes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One entry of a routing plugin."""

    #: The public path.
    template: PathTemplate
    #: False for `auth_mode: none`.
    needs_account: bool
    #: `host[:port]` of the backends, tried in turn.
    authorities: tuple[str, ...]
    #: Path at the backend; its variables are those of `template`.
    target: PathTemplate
    #: `http` or `https`, for the backend.
    target_scheme: str
    #: Specs by method; empty means that every method is offered.
    methods: Mapping[str, MethodSpec]
    request_script: Script | None = None
    response_script: Script | None = None
    #: Seconds that one run of a script may take; None for --route_script_timeout.
    timeout: float | None = None

    @property
    def has_script(self) -> bool:
        """Whether a request to it runs a script."""
        return self.request_script is not None or self.response_script is not None


@dataclass(frozen=True, kw_only=True)
class Unsupported:
    """A file of a Qmonus kind that we recognise and do not run."""

    name: str
    kind: str


#: Everything that a file can hold.
Plugin = LambdaPlugin | ConfigPlugin | Route | Role | Account | Unsupported


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One line of `/-/plugins`."""

    file: str
    kind: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """One whole plugin set; never changed, only replaced."""

    #: Handlers by event, in the order of their names.
    lambdas: Mapping[str, tuple[LambdaPlugin, ...]]
    configs: Mapping[str, ConfigPlugin]
    routes: tuple[Route, ...]
    roles: Mapping[str, Role]
    accounts: Mapping[str, Account]
    listed: tuple[Listed, ...]
    #: Changes with the content of the files.
    fingerprint: str
    #: What the plugins say and hardly can mean; it stops nothing.
    warnings: tuple[PluginWarning, ...] = ()

    @property
    def events(self) -> tuple[str, ...]:
        """Names of the events that have a handler, sorted."""
        return tuple(sorted(self.lambdas))

    def kept_headers(self, event: str) -> frozenset[str]:
        """What the handlers of an event, and of those that follow from it, want kept of headers."""
        waiting, seen, kept = [event], set[str](), frozenset[str]()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            for plugin in self.lambdas.get(name, ()):
                kept |= plugin.keep_headers
                waiting += filter(None, (plugin.success, plugin.failure))
        return kept
