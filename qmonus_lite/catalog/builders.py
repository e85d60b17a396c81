"""Build plugin values from the validated content of a plugin file, with all faults reported."""

import difflib
import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from qmonus_lite.auth.account import Account, Authority, Role
from qmonus_lite.auth.sealing import CannotOpen, Opener
from qmonus_lite.catalog.document import CONTROL, Document, Env, Pointer, Sealed
from qmonus_lite.catalog.kinds import KINDS, Kind
from qmonus_lite.catalog.plugins import ConfigPlugin, LambdaPlugin, Plugin
from qmonus_lite.catalog.routes import RouteBuilder
from qmonus_lite.errors import Fault, Refusal
from qmonus_lite.pathtemplate import PathTemplate, normalized
from qmonus_lite.schema import BadPattern, Pattern, Schema
from qmonus_lite.scripting.compiler import BadScript, Script, compile_handler
from qmonus_lite.scripting.origin import Origin, content_hash
from qmonus_lite.values import Value

logger = logging.getLogger(__name__)
_UNBUILT = {"action": "plugin_not_built"}

#: Similarity from which an unknown key is reported as a misspelt known one.
_NEAR_MATCH = 0.7
#: Keys whose strings are names: they are used in logs, answers and signed messages.
_NAMES = ("name", "event", "success", "failure", "username", "role", "roles", "authorities")
_NO_SCRIPT = "{0} is empty; write '{0}: |-' and indent the lines of the script below it"


class BuildContext(Value, frozen=True, kw_only=True):
    """Dependencies of building on the process."""

    #: Names granted to scripts.
    names: Mapping[str, object]
    sealer: Opener
    #: Reason why a public path is not available, or None.
    reserved: Callable[[PathTemplate], str | None]
    #: Time limit of a request/reply event in seconds.
    question_limit: float = 5.0


@functools.cache
def _schema(kind: str) -> Schema:
    """Schema of one entry of a kind, compiled when the first file of it is read."""
    return KINDS[kind].schema()


class PluginEntry:
    """One plugin of a document while it is built."""

    def __init__(self, document: Document, kind: Kind, pointer: Pointer, value: Any) -> None:
        self.document = document
        self.kind = kind
        self.pointer = pointer
        self.value = value
        self.faults: list[Fault] = []

    def fault(self, pointer: Pointer, message: str) -> None:
        """Record a fault at a path below this entry."""
        self.faults.append(self.document.fault((*self.pointer, *pointer), message))

    def check(self) -> bool:
        """Validate the entry against its kind's schema; records every fault."""
        for found in _schema(self.kind.name).mismatches(_validatable(self.value)):
            if found.path and self._is_empty_script(found.path):
                self.fault(found.path, _NO_SCRIPT.format(found.path[-1]))
                continue
            where = ".".join(map(str, found.path))
            label = f"{self.kind.name} plugin" + (f", {where}" if where else "")
            self.fault(found.path, f"{label}: {found.message}")
        if isinstance(self.value, Mapping):
            self._find_misspelt_keys()
            self._find_stray_tags()
            self._find_control_characters()
        return not self.faults

    def _is_empty_script(self, path: Pointer) -> bool:
        return path[0] in self.kind.scripts and not self.value[path[0]]

    def _find_stray_tags(self) -> None:
        """Record a fault for tagged values at places where they are not resolved."""
        for key, part in self.value.items():
            if (self.kind.name, key) != ("Config", "values"):
                for pointer, value in _tagged(part, (key,)):
                    tag = type(value).__name__.lower()
                    self.fault(pointer, f"!{tag} is for the values of a Config plugin only")

    def _find_control_characters(self) -> None:
        for key in _NAMES:
            part = self.value.get(key)
            for text in part if isinstance(part, list) else [part]:
                if isinstance(text, str) and CONTROL.search(text):
                    self.fault(
                        (key,), f"{key} {text!r} has a control character or a direction mark"
                    )

    def _find_misspelt_keys(self) -> None:
        known = list(self.kind.keys)
        for key in self.value:
            near = difflib.get_close_matches(key, known, n=1, cutoff=_NEAR_MATCH)
            if key not in known and near and near[0] not in self.value:
                self.fault((key,), f"unknown key {key!r}; did you mean {near[0]!r}?")

    def origin(self, key: str, name: str) -> tuple[str, Origin] | None:
        """Text and position of a script of this entry; records a fault if it is not a block."""
        block = self.document.block((*self.pointer, key))
        if block is None:
            self.fault((key,), f"{key} has to be a literal block: write '{key}: |-' and indent it")
            return None
        return block.text, Origin(
            file=self.document.file,
            line=block.line,
            indent=block.indent,
            label=f"{name}.{key}",
            content_hash=content_hash(self.document.source),
        )

    def place(self, pointer: Pointer) -> Refusal:
        """Plugin file, line and content hash of a path below this entry."""
        line, _column = self.document.position((*self.pointer, *pointer))
        source_hash = content_hash(self.document.source)
        return Refusal(file=self.document.file, line=line, content_hash=source_hash)

    def script(self, key: str, name: str, build: Callable[[str, Origin], Script]) -> Script | None:
        """The compiled script under `key`; records its faults."""
        found = self.origin(key, name)
        if found is None:
            return None
        try:
            return build(*found)
        except BadScript as error:
            self.faults += error.faults
            return None


def build(entry: PluginEntry, context: BuildContext) -> Plugin | None:
    """The plugin of an entry, or None if it has faults (recorded in the entry)."""
    if not entry.check():
        return None
    maker = _MAKERS[entry.kind.name]
    try:
        plugin = maker(entry, context)
    except Exception as error:
        # An unexpected error in one plugin must not prevent checking the others.
        logger.exception("%s cannot be built", entry.document.file, extra=_UNBUILT)
        entry.fault((), f"cannot be used: {type(error).__name__}")
        return None
    return None if entry.faults else plugin


def _lambda(entry: PluginEntry, context: BuildContext) -> Plugin | None:
    value = entry.value
    script = entry.script(
        "script", value["name"], lambda text, origin: compile_handler(text, origin, context.names)
    )
    if script is None:
        return None
    optional = {key: value.get(key) for key in ("success", "failure", "timeout")}
    keep_headers = frozenset(name.lower() for name in value.get("keep_headers", ()))
    return LambdaPlugin(
        name=value["name"],
        event=value["event"],
        script=script,
        keep_headers=keep_headers,
        **optional,
    )


def _config(entry: PluginEntry, context: BuildContext) -> Plugin:
    file_name = entry.document.file.rpartition("/")[2]
    plugin = ConfigPlugin(
        name=entry.value["name"], values=entry.value["values"], file_name=file_name
    )
    for pointer, sealed in sealed_values(plugin.values):
        try:
            context.sealer.open(sealed.text, location=sealed_location(file_name, pointer))
        except CannotOpen:
            entry.fault(
                ("values", *pointer),
                f"{'.'.join(map(str, pointer))} cannot be unsealed: it was sealed with another key,"
                " for another file or name, or changed; seal it again with 'config seal'",
            )
    return plugin


def sealed_location(file_name: str, pointer: Pointer) -> str:
    """The context to which a sealed value is bound: file name and key path."""
    return f"{file_name}|{'.'.join(map(str, pointer))}"


def sealed_values(value: object, pointer: Pointer = ()) -> Iterator[tuple[Pointer, Sealed]]:
    """Every sealed value below `value`, with its path."""
    for where, found in _tagged(value, pointer):
        if isinstance(found, Sealed):
            yield where, found


def _tagged(value: object, pointer: Pointer) -> Iterator[tuple[Pointer, Env | Sealed]]:
    """Every tagged value below `value`, with its path."""
    if isinstance(value, (Env, Sealed)):
        yield pointer, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tagged(part, (*pointer, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _tagged(part, (*pointer, index))


def _route(entry: PluginEntry, context: BuildContext) -> Plugin | None:
    return RouteBuilder(entry, context.names, context.reserved).build()


def _role(entry: PluginEntry, _context: BuildContext) -> Plugin:
    authorities = []
    for index, given in enumerate(entry.value["authorities"]):
        try:
            # Paths are checked in NFC, so the pattern must be NFC as well.
            regex = Pattern(normalized(given["regex"]))
        except BadPattern as error:
            entry.fault(("authorities", index, "regex"), str(error))
            continue
        methods = frozenset(method.upper() for method in given["methods"])
        authorities.append(Authority(regex=regex, methods=methods))
    return Role(
        name=entry.value["name"],
        authorities=tuple(authorities),
        static_routing=entry.value.get("static_routing", False),
    )


def _account(entry: PluginEntry, _context: BuildContext) -> Plugin:
    value = entry.value
    if "role" in value and "roles" in value:
        entry.fault(("role",), "give 'role' or 'roles', not both")
    return Account(
        username=value["username"],
        roles=tuple(value.get("roles") or ([value["role"]] if "role" in value else [])),
        api_key_sha256=_sha256(value, "api_key_hash"),
        previous_key_sha256=_sha256(value, "previous_api_key_hash"),
        expires_at=_end(entry) if "expire_days" in value and "api_key_hash" in value else None,
    )


def _sha256(value: Mapping[str, Any], key: str) -> str | None:
    return value[key].removeprefix("sha256:") if key in value else None


def _end(entry: PluginEntry) -> datetime | None:
    """Expiry of the account; None if it is invalid (a fault is recorded)."""
    try:
        start = datetime.fromisoformat(entry.value["created_at"])
    except (KeyError, ValueError):
        entry.fault(("expire_days",), "expire_days needs 'created_at', as in 2026-11-22T10:00:00Z")
        return None
    aware = start if start.tzinfo else start.replace(tzinfo=UTC)
    try:
        return aware + timedelta(days=entry.value["expire_days"])
    except (OverflowError, ValueError):
        entry.fault(("expire_days",), "expire_days leads past the last day of the calendar")
        return None


_MAKERS: Mapping[str, Callable[[PluginEntry, BuildContext], Plugin | None]] = {
    "Lambda": _lambda,
    "Config": _config,
    "Routing": _route,
    "Role": _role,
    "Account": _account,
}


def _validatable(value: Any) -> Any:
    """The value with tagged values replaced by text, for validation by JSON Schema."""
    if isinstance(value, Mapping):
        return {key: _validatable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_validatable(part) for part in value]
    # A fault shows the invalid value, so the replacement must not contain the secret.
    return f"!{type(value).__name__.lower()}" if isinstance(value, (Env, Sealed)) else value
