"""Rules for calls that lack an `await`, and for `with` where `async with` is required."""

import ast
import builtins
import enum
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

from qmonus_lite.catalog.lint.script import (
    Function,
    ScriptView,
    called,
    found_object,
    is_coroutine_function,
)
from qmonus_lite.catalog.lint.warning import Hit

#: Context managers that support `async with` only.
_ASYNC_WITH = frozenset(
    """
    aiohttp.ClientSession aiohttp.request aiofiles.open aiofiles.tempfile.TemporaryFile
    aiofiles.tempfile.NamedTemporaryFile aiofiles.tempfile.TemporaryDirectory Cache
    asyncio.timeout asyncio.timeout_at asyncio.TaskGroup asyncio.Lock asyncio.Semaphore
    """.split()
)
#: Methods of an aiohttp session, or of its response, whose result is awaited or entered.
_REQUESTS = frozenset("get post put patch delete head options request ws_connect".split())
_SESSION, _ANSWER, _FILE = "aiohttp.ClientSession", "an answer of aiohttp", "a file of aiofiles"
#: Coroutine methods of objects whose class cannot be inspected here.
_AWAITED = {
    _ANSWER: frozenset("text json read".split()),
    _FILE: frozenset("read readline readlines write writelines seek tell flush close".split()),
}


#: Maximum number of reads of a name that are analyzed; with more, it is assumed to be awaited.
_MAX_READS = 100
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.NamedExpr)
_COLLECTIONS = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.GeneratorExp)


class Fate(enum.Enum):
    """How a coroutine is used where it was created."""

    #: Awaited, or passed to code that may await it.
    FINE = enum.auto()
    DROPPED = enum.auto()
    RETURNED = enum.auto()
    TESTED = enum.auto()
    USED = enum.auto()
    ASSIGNED = enum.auto()


#: The use of a coroutine according to one ancestor node, or None to continue with the next.
_Act = Callable[[ScriptView, Any, ast.AST], Fate | None]

_CONSEQUENCE = {
    Fate.DROPPED: "it never runs",
    Fate.RETURNED: "a coroutine is returned, and it never runs",
    Fate.TESTED: "it never runs, and a coroutine always counts as true",
    Fate.USED: "it never runs, and a coroutine stands in the place of its result",
    Fate.ASSIGNED: "it never runs, and the name holds a coroutine, not its result",
}


def unawaited(script: ScriptView) -> Iterator[Hit]:
    """Every call that creates a coroutine which is not awaited."""
    helpers = _coroutine_helpers(script)
    kinds = _kinds(script)
    for call in script.all(ast.Call):
        if _makes_coroutine(script, call, helpers, kinds):
            fate = _fate(script, call)
            if fate in _CONSEQUENCE and not (fate is Fate.RETURNED and _is_request(call, kinds)):
                name = called(call)
                message = f"{name}(...) is not awaited: {_CONSEQUENCE[fate]}"
                yield Hit(message=f"{message}; write 'await {name}(...)'", node=call)


def needs_async_with(script: ScriptView) -> Iterator[Hit]:
    """Every `with` of an async-only context manager, and every `async with` of a sync-only one."""
    kinds = _kinds(script)
    for block in script.all(ast.With):
        for item in block.items:
            if _is_async_only(script, item.context_expr, kinds):
                name = called(item.context_expr) if isinstance(item.context_expr, ast.Call) else ""
                message = f"'with {name}(...)' raises TypeError; write 'async with {name}(...)'"
                yield Hit(message=message, node=item.context_expr)
    for other in script.all(ast.AsyncWith):
        for item in other.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and script.dotted(call.func) == "open":
                message = "'async with open(...)' raises TypeError; write 'with open(...)'"
                yield Hit(message=f"{message}, or 'async with aiofiles.open(...)'", node=call)


def _is_async_only(script: ScriptView, node: ast.expr, kinds: Mapping[str, str]) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return script.dotted(node.func) in _ASYNC_WITH or _is_request(node, kinds)


def _is_request(call: ast.Call, kinds: Mapping[str, str]) -> bool:
    target = call.func
    return (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.attr in _REQUESTS
        and kinds.get(target.value.id) == _SESSION
    )


def _makes_coroutine(
    script: ScriptView, call: ast.Call, helpers: Set[str], kinds: Mapping[str, str]
) -> bool:
    target = call.func
    if isinstance(target, ast.Name) and target.id in helpers:
        return True
    if is_coroutine_function(script.dotted(target)) or _is_request(call, kinds):
        return True
    if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
        return False
    kind = kinds.get(target.value.id, "")
    if kind in _AWAITED:
        return target.attr in _AWAITED[kind]
    return is_coroutine_function(f"{kind}.{target.attr}") or f"{kind}.{target.attr}" in helpers


def _coroutine_helpers(script: ScriptView) -> Set[str]:
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
    returned = [one.value for one in script.returns.get(node, ())]
    return bool(returned) and all(
        isinstance(value, ast.Call)
        and (
            (isinstance(value.func, ast.Name) and value.func.id in coroutines)
            or is_coroutine_function(script.dotted(value.func))
        )
        for value in returned
    )


def _kinds(script: ScriptView) -> Mapping[str, str]:
    """Class of the object that a name refers to, if all its bindings agree."""
    found: dict[str, str] = {}
    # Resolving the response of a session requires the name of the session first.
    for _ in range(2):
        kinds: dict[str, list[str]] = {}
        for name, value in _bindings(script):
            kinds.setdefault(name.id, []).append(_kind(script, value, found))
        found = {
            name: ours[0]
            for name, ours in kinds.items()
            if len(set(ours)) == 1 and len(ours) == script.bound[name]
        }
    return {**found, "self": "self"}


def _bindings(script: ScriptView) -> Iterator[tuple[ast.Name, ast.expr]]:
    for node in script.nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0], node.value
        elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            yield node.optional_vars, node.context_expr


def _kind(script: ScriptView, value: ast.expr, known: Mapping[str, str]) -> str:
    if isinstance(value, ast.Await):
        value = value.value
    if not isinstance(value, ast.Call):
        return ""
    if _is_request(value, known):
        return _ANSWER
    if script.dotted(value.func) == "aiofiles.open":
        return _FILE
    if isinstance(value.func, ast.Name) and value.func.id in script.classes:
        return value.func.id
    dotted = script.dotted(value.func)
    return dotted if isinstance(found_object(dotted), type) else ""


def _fate(script: ScriptView, node: ast.AST, *, follow: bool = True) -> Fate:
    """How the coroutine that an expression creates, or a name refers to, is used."""
    contained = False
    while (above := script.parents.get(node)) is not None:
        if not follow and isinstance(above, _ASSIGNMENTS):
            return Fate.FINE
        fate = _step(script, above, node)
        if fate is not None:
            return Fate.FINE if contained and not _evaluates(script, above) else fate
        contained = contained or isinstance(above, _COLLECTIONS)
        node = above
    return Fate.FINE


def _step(script: ScriptView, above: ast.AST, node: ast.AST) -> Fate | None:
    for kinds, act in _STEPS:
        if isinstance(above, kinds):
            return act(script, above, node)
    return Fate.FINE


def _always(fate: Fate | None) -> _Act:
    return lambda _script, _above, _node: fate


def _condition(_script: ScriptView, above: ast.AST, node: ast.AST) -> Fate | None:
    """In `if`, `while`, `assert` and `x if y else z`: whether the node is the test."""
    if getattr(above, "test", None) is node:
        return Fate.TESTED
    return None if isinstance(above, ast.IfExp) else Fate.FINE


def _in_and_or(_script: ScriptView, above: ast.BoolOp, node: ast.AST) -> Fate | None:
    return None if above.values[-1] is node else Fate.TESTED


def _compared(_script: ScriptView, above: ast.Compare, _node: ast.AST) -> Fate | None:
    same = all(isinstance(one, ast.Is | ast.IsNot) for one in above.ops)
    return Fate.FINE if same else Fate.USED


def _attribute(_script: ScriptView, above: ast.Attribute, _node: ast.AST) -> Fate | None:
    return Fate.FINE if above.attr in {"close", "send", "throw"} else Fate.USED


def _given(script: ScriptView, above: ast.Call, node: ast.AST) -> Fate | None:
    used = above.func is node or _evaluates(script, above)
    tests = isinstance(above.func, ast.Name) and above.func.id in {"bool", "any", "all"}
    return Fate.TESTED if used and tests else Fate.USED if used else Fate.FINE


def _evaluates(script: ScriptView, above: ast.AST) -> bool:
    """Whether it is a call that evaluates its argument instead of awaiting it."""
    if not isinstance(above, ast.Call):
        return False
    name = script.dotted(above.func)
    if name in _LOOKING or name.startswith(("json.", "logger.")):
        return True
    return isinstance(above.func, ast.Attribute) and above.func.attr == "terminate"


#: Builtins that evaluate their argument.
_LOOKING = (
    frozenset("any all bool dict float format int len max min print repr str sum".split())
    & frozenset(dir(builtins))
) | {"MU"}


def _in_comprehension(_script: ScriptView, above: ast.comprehension, node: ast.AST) -> Fate | None:
    if node in above.ifs:
        return Fate.TESTED
    return Fate.USED


def _returned(script: ScriptView, above: ast.AST, _node: ast.AST) -> Fate | None:
    """A plain helper may return a coroutine, which its caller can await."""
    function = script.function_of(above)
    plain = isinstance(function, ast.FunctionDef)
    return Fate.FINE if plain else Fate.RETURNED


def _assigned(script: ScriptView, above: ast.AST, _node: ast.AST) -> Fate | None:
    """A name that is only evaluated, or never used, holds a coroutine that is not awaited."""
    targets = above.targets if isinstance(above, ast.Assign) else [above.target]  # type: ignore[attr-defined]
    if len(targets) != 1:
        return Fate.FINE
    target = targets[0]
    if isinstance(target, ast.Subscript):
        kept = not (isinstance(target.value, ast.Name) and target.value.id == "event")
        return Fate.FINE if kept else Fate.ASSIGNED
    if not isinstance(target, ast.Name):
        return Fate.FINE
    reads = script.reads.get(target.id, ())
    if len(reads) > _MAX_READS:
        return Fate.FINE
    fates = {_fate(script, node, follow=False) for node in reads}
    if isinstance(above, ast.NamedExpr) and Fate.FINE not in fates:
        return None
    return Fate.FINE if Fate.FINE in fates else Fate.ASSIGNED


_STEPS: tuple[tuple[type | tuple[type, ...], _Act], ...] = (
    (ast.Expr, _always(Fate.DROPPED)),
    (ast.Return, _returned),
    ((ast.If, ast.While, ast.Assert, ast.IfExp), _condition),
    (ast.BoolOp, _in_and_or),
    (ast.UnaryOp, _always(Fate.TESTED)),
    (ast.Compare, _compared),
    (ast.Attribute, _attribute),
    (ast.Call, _given),
    (ast.comprehension, _in_comprehension),
    ((ast.BinOp, ast.AugAssign, ast.FormattedValue, ast.Subscript, ast.For), _always(Fate.USED)),
    ((ast.Match, ast.Raise), _always(Fate.USED)),
    (_ASSIGNMENTS, _assigned),
    ((ast.keyword, ast.Starred, *_COLLECTIONS), _always(None)),
)
