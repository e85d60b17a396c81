"""Rules for what a built-in does not have: arguments, attributes, codes."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from qmonus_lite.catalog.lint.contract import FINISH, REQUEST, RESPONSE
from qmonus_lite.catalog.lint.gates import WAITING_CALLS
from qmonus_lite.catalog.lint.linted_plugins import near
from qmonus_lite.catalog.lint.script import ScriptView, argument, found_object
from qmonus_lite.catalog.lint.warning import Hit

#: Built-ins whose arguments are checked.
_CALLED = ("callout", "lambda_event", "publish", "get_service_config", "genkey", "Error")
#: Calls that wait.
_WAITING = ("time.sleep", *sorted(WAITING_CALLS))
#: Attributes of the objects that a script of a route is given.
_OF_ROUTES: Mapping[str, frozenset[str]] = {
    "request": REQUEST,
    "response": RESPONSE,
}


def unknown_argument(script: ScriptView) -> Iterator[Hit]:
    """A keyword argument that a built-in does not take."""
    for name in _CALLED:
        for call in script.calls(name):
            yield from _unknown(call, name, _arguments(name))
    for call in () if script.is_handler else script.calls("finish"):
        yield from _unknown(call, "finish", FINISH)


@cache
def _arguments(name: str) -> frozenset[str]:
    function: Any = found_object(name)
    return frozenset(inspect.signature(function).parameters) - {"self"}


def _unknown(call: ast.Call, name: str, known: frozenset[str]) -> Iterator[Hit]:
    for keyword in call.keywords:
        if keyword.arg is not None and keyword.arg not in known:
            hint = near(keyword.arg, known) or f"; it takes {', '.join(sorted(known))}"
            message = f"{name} takes no {keyword.arg!r}, so this raises TypeError{hint}"
            yield Hit(message=message, node=keyword)


def route_attribute(script: ScriptView) -> Iterator[Hit]:
    """An attribute that `request` or `response` of a route does not have."""
    for node in () if script.is_handler else script.all(ast.Attribute):
        name = node.value.id if isinstance(node.value, ast.Name) else ""
        known = _OF_ROUTES.get(name, frozenset())
        if known and node.attr not in known and not _is_other(script, name, node.attr):
            hint = near(node.attr, known) or f"; it has {', '.join(sorted(known))}"
            message = f"{name} has no {node.attr!r}, so this raises AttributeError{hint}"
            yield Hit(message=message, node=node)


def _is_other(script: ScriptView, name: str, attribute: str) -> bool:
    """Whether the script may use another object under this name, or asks whether it is there."""
    return (
        bool(script.bound.get(name))
        or attribute.startswith("__")
        or (name == "response" and not script.label.startswith("response"))
    )


def error_code(script: ScriptView) -> Iterator[Hit]:
    """`Error("405")`, `HTTPError(99)`: the answer is 500, whatever was meant."""
    for name, parameter in (("Error", "code"), ("HTTPError", "status_code")):
        for call in script.calls(name):
            code = argument(call, 0, parameter)
            wrong = isinstance(code, ast.Constant) and not (
                type(code.value) is int and 200 <= code.value <= 599
            )
            if code is not None and wrong:
                message = f"{name}: {ast.unparse(code)} is no status from 200 to 599, so the answer"
                message += " is 500; give the number of one first"
                yield Hit(message=message, node=call)


def module_waits(script: ScriptView) -> Iterator[Hit]:
    """A call at the top level of a handler's module that waits, while the plugins are loaded."""
    for call in script.calls(*_WAITING) if script.is_handler else ():
        if script.function_of(call) is script.tree:
            message = f"{script.dotted(call.func)} runs when the plugins are loaded, at the start"
            message += " and at each change of a file, and holds that up; do it in the handler"
            yield Hit(message=message, node=call)
