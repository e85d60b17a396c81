"""Which calls of a script create a coroutine, as far as its text tells."""

import ast
from collections.abc import Iterator, Mapping, Set

from qmonus_lite.catalog.lint.script import (
    Function,
    ScriptView,
    found_object,
    is_coroutine_function,
)

#: Methods of an aiohttp session, or of its response, whose result is awaited or entered.
_REQUESTS = frozenset("get post put patch delete head options request ws_connect".split())
_SESSION, _RESPONSE, _FILE = "aiohttp.ClientSession", "an answer of aiohttp", "a file of aiofiles"
#: Coroutine methods of objects whose class cannot be inspected here.
_AWAITED = {
    _RESPONSE: frozenset("text json read".split()),
    _FILE: frozenset("read readline readlines write writelines seek tell flush close".split()),
}


def is_request(call: ast.Call, classes: Mapping[str, str]) -> bool:
    """Whether it is a request of an aiohttp session; `classes` as of `object_classes`."""
    target = call.func
    return (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.attr in _REQUESTS
        and classes.get(target.value.id) == _SESSION
    )


def creates_coroutine(
    script: ScriptView, call: ast.Call, helpers: Set[str], classes: Mapping[str, str]
) -> bool:
    """Whether the call returns a coroutine; `helpers` as of `coroutine_helpers`."""
    target = call.func
    if isinstance(target, ast.Name) and target.id in helpers:
        return True
    if is_coroutine_function(script.dotted(target)) or is_request(call, classes):
        return True
    if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
        return False
    owner = classes.get(target.value.id, "")
    if owner in _AWAITED:
        return target.attr in _AWAITED[owner]
    return is_coroutine_function(f"{owner}.{target.attr}") or f"{owner}.{target.attr}" in helpers


def coroutine_helpers(script: ScriptView) -> Set[str]:
    """Functions and methods of the script that return a coroutine: async ones, and those that
    return nothing but a call of such a function.
    """
    found = {name for name, node in script.helpers.items() if _is_async(script, node)}
    for owner in script.all(ast.ClassDef):
        for node in owner.body:
            if isinstance(node, ast.AsyncFunctionDef) and _plain(node):
                # If several classes define it, the class of `self` is unknown.
                alone = script.bound[node.name] == 1
                found |= {f"{name}.{node.name}" for name in [owner.name, *["self"] * alone]}
    for name, node in script.helpers.items():
        if isinstance(node, ast.FunctionDef) and _returns_only(script, node, found):
            found.add(name)
    return found


def _plain(node: ast.AsyncFunctionDef) -> bool:
    return not node.decorator_list and not any(
        isinstance(below, ast.Yield) for below in ast.walk(node)
    )


def _is_async(script: ScriptView, node: Function) -> bool:
    """Whether a call of it has to be awaited: an async function that is no generator."""
    if not isinstance(node, ast.AsyncFunctionDef):
        return False
    return node not in script.yields


def _returns_only(script: ScriptView, node: Function, coroutines: Set[str]) -> bool:
    returned = [statement.value for statement in script.returns.get(node, ())]
    return bool(returned) and all(
        isinstance(value, ast.Call)
        and (
            (isinstance(value.func, ast.Name) and value.func.id in coroutines)
            or is_coroutine_function(script.dotted(value.func))
        )
        for value in returned
    )


def object_classes(script: ScriptView) -> Mapping[str, str]:
    """Class of the object that a name refers to, if all its bindings agree."""
    found: dict[str, str] = {}
    # Resolving the response of a session requires the name of the session first.
    for _ in range(2):
        bindings: dict[str, list[str]] = {}
        for name, value in _bindings(script):
            bindings.setdefault(name.id, []).append(_class_of(script, value, found))
        found = {
            name: classes[0]
            for name, classes in bindings.items()
            if len(set(classes)) == 1 and len(classes) == script.bound[name]
        }
    return {**found, "self": "self"}


def _bindings(script: ScriptView) -> Iterator[tuple[ast.Name, ast.expr]]:
    for node in script.nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0], node.value
        elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            yield node.optional_vars, node.context_expr


def _class_of(script: ScriptView, value: ast.expr, known: Mapping[str, str]) -> str:
    if isinstance(value, ast.Await):
        value = value.value
    if not isinstance(value, ast.Call):
        return ""
    if is_request(value, known):
        return _RESPONSE
    if script.dotted(value.func) == "aiofiles.open":
        return _FILE
    if isinstance(value.func, ast.Name) and value.func.id in script.classes:
        return value.func.id
    dotted = script.dotted(value.func)
    return dotted if isinstance(found_object(dotted), type) else ""
