"""Plugin values: one class per kind of plugin file, compiled and validated, and the catalog."""

from collections.abc import Mapping
from typing import Any

from qmonus_lite.auth.account import Account, Role
from qmonus_lite.catalog.lint.warning import PluginWarning
from qmonus_lite.errors import Refusal
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.schema import Schema
from qmonus_lite.scripting.compiler import Script
from qmonus_lite.values import Value, field

#: Maximum number of files of a log record that are added, of those changed, and of those removed.
MAX_NAMED_FILES = 20


class LambdaPlugin(Value, frozen=True, kw_only=True):
    """A handler of one event."""

    name: str
    #: Name of the handled event.
    event: str
    script: Script
    #: Event published after a normal end.
    success: str | None = None
    #: Event published after an exception.
    failure: str | None = None
    #: Time limit of one run in seconds.
    timeout: float | None = None
    #: Credential headers, in lower case, that its pending events contain unredacted.
    keep_headers: frozenset[str] = frozenset()


class ConfigPlugin(Value, frozen=True, kw_only=True):
    """Named values; `Env` and `Sealed` among them are resolved at use."""

    name: str
    values: Mapping[str, Any]
    #: Base name of the file, to which sealed values are bound.
    file_name: str


class MethodSpec(Value, frozen=True, kw_only=True):
    """Request and response of one method of a route."""

    method: str
    #: Name for people and for OpenAPI.
    command: str
    usage: str
    #: Schemas by part: `headers`, `params`, `resources`, `body`.
    schemas: Mapping[str, Schema]
    #: Status codes of a normal answer.
    normal_codes: tuple[int, ...]
    #: Plugin file and line of the schemas, for a refusal by them.
    place: Refusal = Refusal()


class Route(Value, frozen=True, kw_only=True):
    """One entry of a routing plugin."""

    #: The public path.
    template: PathTemplate
    #: False for `auth_mode: none`.
    needs_account: bool
    #: `host[:port]` of the backends, tried in order.
    authorities: tuple[str, ...]
    #: Path at the backend; its variables are those of `template`.
    target: PathTemplate
    #: `http` or `https`, for the backend.
    target_scheme: str
    #: Specs by method; empty if every method is allowed.
    methods: Mapping[str, MethodSpec]
    request_script: Script | None = None
    response_script: Script | None = None
    #: Time limit of one script run in seconds; None for --route_script_timeout.
    timeout: float | None = None

    @property
    def scripts(self) -> tuple[Script, ...]:
        """The scripts that a request to it runs."""
        return tuple(filter(None, (self.request_script, self.response_script)))

    @property
    def has_script(self) -> bool:
        """Whether a request to it runs a script."""
        return self.request_script is not None or self.response_script is not None


class Unsupported(Value, frozen=True, kw_only=True):
    """A file of a Qmonus kind that is recognized and not run."""

    name: str
    kind: str


#: Every value that a file can contain.
Plugin = LambdaPlugin | ConfigPlugin | Route | Role | Account | Unsupported


class Listed(Value, frozen=True, kw_only=True):
    """One line of `/-/plugins`."""

    file: str
    kind: str
    name: str


class Catalog(Value, frozen=True, kw_only=True):
    """One complete plugin set; immutable, only replaced."""

    #: Handlers by event, in the order of their names.
    lambdas: Mapping[str, tuple[LambdaPlugin, ...]]
    configs: Mapping[str, ConfigPlugin]
    routes: tuple[Route, ...]
    roles: Mapping[str, Role]
    accounts: Mapping[str, Account]
    listed: tuple[Listed, ...]
    #: Hash of the content of the files.
    fingerprint: str
    #: Hash of each file's content, by its path.
    files: Mapping[str, str] = field(default_factory=dict)
    #: Files that are commented out as a whole, and so contain no plugin.
    commented_out: tuple[str, ...] = ()
    #: Likely mistakes in the plugins; they do not prevent loading.
    warnings: tuple[PluginWarning, ...] = ()

    @property
    def events(self) -> tuple[str, ...]:
        """Names of the events that have a handler, sorted."""
        return tuple(sorted(self.lambdas))

    @property
    def scripts(self) -> tuple[Script, ...]:
        """Every script of the set."""
        of_routes = [script for route in self.routes for script in route.scripts]
        handlers = [plugin for plugins in self.lambdas.values() for plugin in plugins]
        return (*(plugin.script for plugin in handlers), *of_routes)

    def kept_headers(self, event: str) -> frozenset[str]:
        """Headers that the handlers of an event and of its follow-up events keep unredacted."""
        waiting, seen, headers = [event], set[str](), frozenset[str]()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            for plugin in self.lambdas.get(name, ()):
                headers |= plugin.keep_headers
                waiting += filter(None, (plugin.success, plugin.failure))
        return headers


def file_changes(before: Catalog, after: Catalog) -> dict[str, list[str]]:
    """Paths of the files that were `added`, `changed` and `removed`, sorted; only what occurred.

    Of more than MAX_NAMED_FILES of a sort the first ones, and the number of the others as text.
    """
    old, new = before.files, after.files
    changes = {
        "added": new.keys() - old.keys(),
        "changed": {file for file in new.keys() & old.keys() if new[file] != old[file]},
        "removed": old.keys() - new.keys(),
    }
    return {name: _named(sorted(files)) for name, files in changes.items() if files}


def _named(files: list[str]) -> list[str]:
    others = len(files) - MAX_NAMED_FILES
    return files if others <= 0 else [*files[:MAX_NAMED_FILES], f"{others} others"]
