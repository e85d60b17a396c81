"""Rules for names that refer to other plugins: events, Config plugins, roles, files."""

import ast
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from qmonus_lite.auth.account import EVERYTHING
from qmonus_lite.catalog.lint.contract import (
    EVENT_KEYS,
    GATES,
    ONLY_UPLOADED,
    PUBLISHED,
)
from qmonus_lite.catalog.lint.gates import is_terminate, lookups, status
from qmonus_lite.catalog.lint.linted_plugins import LintedPlugin, LintedPlugins, near
from qmonus_lite.catalog.lint.script import ScriptView, argument, constant_text
from qmonus_lite.catalog.lint.warning import Hit
from qmonus_lite.imported_on_use import ImportedOnUse

if TYPE_CHECKING:
    from qmonus_lite.scripting.builtins import mu
else:
    mu = ImportedOnUse("qmonus_lite.scripting.builtins.mu")

Found = tuple[LintedPlugin, Hit]

UPLOADING = PUBLISHED[0]
_METHODS = frozenset("GET HEAD PUT POST PATCH DELETE OPTIONS CONNECT TRACE".split())
#: Similarity to a built-in event from which an event name counts as misspelt.
_EVENT_CUTOFF = 0.8


def unknown_event(plugins: LintedPlugins) -> Iterator[Found]:
    """A handler of a built-in event that does not exist."""
    called = {name for _, _, name in _published(plugins)}
    for plugin in plugins.of("Lambda"):
        event = plugin.value["event"]
        if event in PUBLISHED or event in called:
            continue
        is_builtin = event.casefold().startswith("apigw")
        hint = near(event, PUBLISHED, cutoff=0.6 if is_builtin else _EVENT_CUTOFF)
        if is_builtin or hint:
            message = f"no event {event!r} is ever published, so this handler never runs"
            known = hint or f"; events of ours are {', '.join(PUBLISHED)}"
            yield plugin, Hit(message=message + known, pointer=plugin.at("event"))


def _published(plugins: LintedPlugins) -> Iterator[tuple[LintedPlugin, Hit, str]]:
    """Every event name that a plugin publishes."""
    for plugin in plugins.of("Lambda"):
        for key in ("success", "failure"):
            if name := plugin.value.get(key):
                yield plugin, Hit(message=key, pointer=plugin.at(key)), name
    for plugin, script in plugins.scripts:
        for function in ("lambda_event", "publish"):
            for call in script.calls(function):
                given = argument(call, 0, "name")
                if name := constant_text(given):
                    yield plugin, _in(script, function, given), name


def _in(script: ScriptView, message: str, node: ast.AST | None) -> Hit:
    return Hit(message=message, pointer=script.pointer, node=node)


def event_without_handler(plugins: LintedPlugins) -> Iterator[Found]:
    """`success`, `failure`, `lambda_event` or `publish` of an event without a handler."""
    handled = plugins.catalog.events
    for plugin, hit, name in _published(plugins):
        # Without any handlers here, they are presumably deployed on another machine.
        if handled and name not in handled:
            message = f"{hit.message}: no plugin handles {name!r}{near(name, handled)}"
            yield plugin, Hit(message=message, pointer=hit.pointer, node=hit.node)


def event_loop(plugins: LintedPlugins) -> Iterator[Found]:
    """A cycle of follow-up events."""
    follows: dict[str, set[str]] = {}
    for plugin in plugins.of("Lambda"):
        ends = {plugin.value[key] for key in ("success", "failure") if key in plugin.value}
        follows.setdefault(plugin.value["event"], set()).update(ends)
    for plugin in plugins.of("Lambda"):
        for key in ("success", "failure"):
            name = plugin.value.get(key)
            if name and plugin.value["event"] in _reached(name, follows):
                message = f"{key}: {name!r} leads back to {plugin.value['event']!r}; a chain ends"
                message += " with 500 after 16 events; let one of them follow nothing"
                yield plugin, Hit(message=message, pointer=plugin.at(key))


def _reached(start: str, follows: Mapping[str, set[str]]) -> set[str]:
    seen, ahead = {start}, [start]
    while ahead:
        new = follows.get(ahead.pop(), set()) - seen
        seen |= new
        ahead += new
    return seen


def unknown_config(plugins: LintedPlugins) -> Iterator[Found]:
    """`get_service_config` with a name that no Config plugin has."""
    configs = plugins.catalog.configs
    for plugin, script in plugins.scripts:
        for call in script.calls("get_service_config"):
            name = constant_text(given := argument(call, 0, "service"))
            if name is not None and name not in configs:
                hint = near(name, configs)
                message = f"no Config plugin is named {name!r}, so this raises Error(404)"
                yield plugin, _in(script, message + hint, given)


def unknown_config_key(plugins: LintedPlugins) -> Iterator[Found]:
    """A key that the values of a Config plugin do not contain."""
    for plugin, script in plugins.scripts:
        for name, config in _config_names(script):
            values = plugins.catalog.configs.get(config)
            for node in script.all(ast.Attribute) if values else ():
                if _is_read(node, name) and not _there(node.attr, values):
                    assert values is not None
                    message = f"Config {config!r} has no {node.attr!r}"
                    hint = near(node.attr, values.values)
                    yield plugin, _in(script, message + hint, node)


def _there(key: str, values: object) -> bool:
    # MU also has its own methods.
    return key in getattr(values, "values", {}) or hasattr(mu.MU, key)


def _is_read(node: ast.Attribute, name: str) -> bool:
    loaded = isinstance(node.ctx, ast.Load)
    return loaded and isinstance(node.value, ast.Name) and node.value.id == name


def _config_names(script: ScriptView) -> Iterator[tuple[str, str]]:
    """Variables that hold the values of a Config plugin as an MU, with the plugin's name."""
    if "mu_conversion" not in script.text:
        return
    for node in script.all(ast.Assign):
        call = node.value.value if isinstance(node.value, ast.Await) else None
        if not isinstance(call, ast.Call) or script.dotted(call.func) != "get_service_config":
            continue
        converted = argument(call, 1, "mu_conversion")
        target, config = node.targets[0], constant_text(argument(call, 0, "service"))
        if (
            config
            and isinstance(target, ast.Name)
            and script.bound[target.id] == 1
            and getattr(converted, "value", False) is True
        ):
            yield target.id, config


def role_method(plugins: LintedPlugins) -> Iterator[Found]:
    """An HTTP method in a role that no request has."""
    for plugin in plugins.of("Role"):
        for index, authority in enumerate(plugin.value["authorities"]):
            for at, method in enumerate(authority["methods"]):
                if method.upper() not in _METHODS:
                    where = plugin.at("authorities", index, "methods", at)
                    message = f"{method!r} is no HTTP method, so it allows nothing"
                    hint = near(method, _METHODS)
                    yield plugin, Hit(message=message + hint, pointer=where)


def route_no_role(plugins: LintedPlugins) -> Iterator[Found]:
    """A route that requires an account but is not allowed by any role."""
    catalog = plugins.catalog
    everything = any(EVERYTHING.name in account.roles for account in catalog.accounts.values())
    if not catalog.roles or everything:
        return
    called = set(_called_paths(plugins))
    if None in called:
        return
    by_path = {route.template.text: route for route in catalog.routes}
    for plugin in plugins.of("Routing"):
        path = plugin.value["proxy"]["path"]
        route = by_path[path]
        methods = route.methods or _METHODS
        allowed = any(r.allows(m, path) for r in catalog.roles.values() for m in methods)
        if route.needs_account and not route.template.names and not allowed | (path in called):
            message = f"no role allows {', '.join(sorted(methods))} on {path}, so nobody but the"
            message += " role admin can use it; name it in a role, or set auth_mode: none"
            yield plugin, Hit(message=message, pointer=plugin.at("proxy", "path"))


def _called_paths(plugins: LintedPlugins) -> Iterator[str | None]:
    """Paths that scripts call with a pass; None for a path that is not a literal."""
    for _, script in plugins.scripts:
        for call in script.calls("callout"):
            yield constant_text(argument(call, 0, "path"))


def event_header(plugins: LintedPlugins) -> Iterator[Found]:
    """`event.get` of a key that events do not have; before 0.2 it returned a header."""
    keys_set: dict[ScriptView, frozenset[str]] = {}
    for plugin, script in plugins.scripts:
        gets_builtin = script.event in GATES | set(PUBLISHED) and ".get(" in script.text
        for key in _event_gets(script) if gets_builtin else ():
            name = constant_text(key) or "-"
            if "-" not in name and name not in EVENT_KEYS and not _is_set(plugins, name, keys_set):
                message = f"event.get({name!r}) looks among headers no more, since a client could"
                message += f" forge it; for the header write event['headers'].get({name!r})"
                yield plugin, _in(script, message, key)


def event_key(plugins: LintedPlugins) -> Iterator[Found]:
    """A key of the stored upload, read where nothing is stored yet."""
    keys_set: dict[ScriptView, frozenset[str]] = {}
    for plugin, script in plugins.scripts:
        for node in script.all(ast.Subscript) if script.event == UPLOADING else ():
            key = constant_text(node.slice)
            is_event = isinstance(node.value, ast.Name) and node.value.id == "event"
            if is_event and key in ONLY_UPLOADED and not _is_set(plugins, key, keys_set):
                message = f"{UPLOADING} has no {key!r}, which is known when the file is stored, so"
                message += " this raises KeyError and refuses the upload; APIGW.OnFileUploaded has"
                yield plugin, _in(script, f"{message} it", node)


def _event_gets(script: ScriptView) -> Iterator[ast.expr]:
    """The key of each `event.get(key)`."""
    for node, key in lookups(script):
        called = isinstance(script.parents[key], ast.Call)
        if called and isinstance(node, ast.Name) and node.id == "event":
            yield key


def _is_set(plugins: LintedPlugins, name: str, known: dict[ScriptView, frozenset[str]]) -> bool:
    """Whether some script may set such a key in an event; `known` caches keys by script."""
    for _, script in plugins.scripts:
        if name in script.text:
            if script not in known:
                known[script] = frozenset(_keys_set(script))
            if name in known[script]:
                return True
    return False


def _keys_set(script: ScriptView) -> Iterator[str]:
    """Keys that a script may set in an event: all strings and names that it uses as keys."""
    for node in script.all(ast.Subscript):
        if not isinstance(node.ctx, ast.Load) and (key := constant_text(node.slice)):
            yield key
    for call in script.all(ast.Call):
        yield from (keyword.arg for keyword in call.keywords if keyword.arg)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "setdefault":
            yield constant_text(call.args[0] if call.args else None) or ""
    for given in script.all(ast.Dict):
        yield from (key for node in given.keys if (key := constant_text(node)))


def gate_allow(plugins: LintedPlugins) -> Iterator[Found]:
    """A termination with 2xx in a gate that other gates follow."""
    for plugin, script in plugins.scripts:
        handlers = plugins.catalog.lambdas.get(script.event or "", ()) if script.is_gate else ()
        after = [handler.name for handler in handlers if handler.name > plugin.value["name"]]
        for call in script.all(ast.Call) if after else ():
            code = status(argument(call, 0, "code")) if is_terminate(call) else None
            if code is not None and 200 <= code <= 299:
                message = f"ends this handler only: {', '.join(after)} still run, and all have to"
                message += " agree; before 0.2 the upload was let in"
                yield plugin, _in(script, message, call)


def route_timeout(plugins: LintedPlugins) -> Iterator[Found]:
    """A script of a route that waits without a `timeout`."""
    for plugin, script in plugins.scripts:
        waiting = "async " in script.text and not script.is_handler
        if waiting and "timeout" not in plugin.value:
            waits = next(
                (n for n in script.nodes if isinstance(n, ast.AsyncWith | ast.AsyncFor)), None
            )
            if waits is not None:
                message = "runs for up to --route_script_timeout (3600 s), also when the client"
                message += " leaves; before 0.2 it was cut after 60 s; set 'timeout' for less"
                yield plugin, _in(script, message, waits)


def unsupported_kind(plugins: LintedPlugins) -> Iterator[Found]:
    """A file of Qmonus SDK that is listed and not run."""
    for plugin in plugins.plugins:
        if plugin.kind.endswith("(not supported)"):
            kind = plugin.kind.partition(" ")[0]
            message = f"recognised as a {kind} of Qmonus SDK, which is not run"
            if "code" in plugin.value and any("event" in key for key in plugin.value):
                message += "; for a handler of an event write 'event:' and 'script:'"
            yield plugin, Hit(message=message, pointer=())
