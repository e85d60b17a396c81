"""How a coroutine is used where it was created: awaited, passed on, or lost."""

import ast
import builtins
import enum
from collections.abc import Callable
from typing import Any

from qmonus_lite.catalog.lint.script import ScriptView

#: Maximum number of reads of a name that are analyzed; with more, it is assumed to be awaited.
_MAX_READS = 100
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.NamedExpr)
_COLLECTIONS = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.GeneratorExp)


class CoroutineUse(enum.Enum):
    """How a coroutine is used where it was created."""

    #: Awaited, or passed to code that may await it.
    FINE = enum.auto()
    DROPPED = enum.auto()
    RETURNED = enum.auto()
    TESTED = enum.auto()
    USED = enum.auto()
    ASSIGNED = enum.auto()


#: The use of a coroutine according to one ancestor node, or None to continue with the next.
_Step = Callable[[ScriptView, Any, ast.AST], CoroutineUse | None]


def use_of(script: ScriptView, node: ast.AST, *, follow: bool = True) -> CoroutineUse:
    """How the coroutine that an expression creates, or a name refers to, is used."""
    contained = False
    while (above := script.parents.get(node)) is not None:
        if not follow and isinstance(above, _ASSIGNMENTS):
            return CoroutineUse.FINE
        use = _step(script, above, node)
        if use is not None:
            return CoroutineUse.FINE if contained and not _evaluates(script, above) else use
        contained = contained or isinstance(above, _COLLECTIONS)
        node = above
    return CoroutineUse.FINE


def _step(script: ScriptView, above: ast.AST, node: ast.AST) -> CoroutineUse | None:
    for kinds, act in _STEPS:
        if isinstance(above, kinds):
            return act(script, above, node)
    return CoroutineUse.FINE


def _always(use: CoroutineUse | None) -> _Step:
    return lambda _script, _above, _node: use


def _condition(_script: ScriptView, above: ast.AST, node: ast.AST) -> CoroutineUse | None:
    """In `if`, `while`, `assert` and `x if y else z`: whether the node is the test."""
    if getattr(above, "test", None) is node:
        return CoroutineUse.TESTED
    return None if isinstance(above, ast.IfExp) else CoroutineUse.FINE


def _in_and_or(_script: ScriptView, above: ast.BoolOp, node: ast.AST) -> CoroutineUse | None:
    return None if above.values[-1] is node else CoroutineUse.TESTED


def _compared(_script: ScriptView, above: ast.Compare, _node: ast.AST) -> CoroutineUse | None:
    same = all(isinstance(operator, ast.Is | ast.IsNot) for operator in above.ops)
    return CoroutineUse.FINE if same else CoroutineUse.USED


def _attribute(_script: ScriptView, above: ast.Attribute, _node: ast.AST) -> CoroutineUse | None:
    return CoroutineUse.FINE if above.attr in {"close", "send", "throw"} else CoroutineUse.USED


def _argument(script: ScriptView, above: ast.Call, node: ast.AST) -> CoroutineUse | None:
    used = above.func is node or _evaluates(script, above)
    tests = isinstance(above.func, ast.Name) and above.func.id in {"bool", "any", "all"}
    return (
        CoroutineUse.TESTED if used and tests else CoroutineUse.USED if used else CoroutineUse.FINE
    )


def _evaluates(script: ScriptView, above: ast.AST) -> bool:
    """Whether it is a call that evaluates its argument instead of awaiting it."""
    if not isinstance(above, ast.Call):
        return False
    name = script.dotted(above.func)
    if name in _EVALUATING or name.startswith(("json.", "logger.")):
        return True
    return isinstance(above.func, ast.Attribute) and above.func.attr == "terminate"


#: Builtins that evaluate their argument.
_EVALUATING = (
    frozenset("any all bool dict float format int len max min print repr str sum".split())
    & frozenset(dir(builtins))
) | {"MU"}


def _in_comprehension(
    _script: ScriptView, above: ast.comprehension, node: ast.AST
) -> CoroutineUse | None:
    if node in above.ifs:
        return CoroutineUse.TESTED
    return CoroutineUse.USED


def _returned(script: ScriptView, above: ast.AST, _node: ast.AST) -> CoroutineUse | None:
    """A plain helper may return a coroutine, which its caller can await."""
    function = script.function_of(above)
    plain = isinstance(function, ast.FunctionDef)
    return CoroutineUse.FINE if plain else CoroutineUse.RETURNED


def _assigned(script: ScriptView, above: ast.AST, _node: ast.AST) -> CoroutineUse | None:
    """A name that is only evaluated, or never used, holds a coroutine that is not awaited."""
    targets = above.targets if isinstance(above, ast.Assign) else [above.target]  # type: ignore[attr-defined]
    if len(targets) != 1:
        return CoroutineUse.FINE
    target = targets[0]
    if isinstance(target, ast.Subscript):
        stored = not (isinstance(target.value, ast.Name) and target.value.id == "event")
        return CoroutineUse.FINE if stored else CoroutineUse.ASSIGNED
    if not isinstance(target, ast.Name):
        return CoroutineUse.FINE
    reads = script.reads.get(target.id, ())
    if len(reads) > _MAX_READS:
        return CoroutineUse.FINE
    uses = {use_of(script, node, follow=False) for node in reads}
    if isinstance(above, ast.NamedExpr) and CoroutineUse.FINE not in uses:
        return None
    return CoroutineUse.FINE if CoroutineUse.FINE in uses else CoroutineUse.ASSIGNED


_STEPS: tuple[tuple[type | tuple[type, ...], _Step], ...] = (
    (ast.Expr, _always(CoroutineUse.DROPPED)),
    (ast.Return, _returned),
    ((ast.If, ast.While, ast.Assert, ast.IfExp), _condition),
    (ast.BoolOp, _in_and_or),
    (ast.UnaryOp, _always(CoroutineUse.TESTED)),
    (ast.Compare, _compared),
    (ast.Attribute, _attribute),
    (ast.Call, _argument),
    (ast.comprehension, _in_comprehension),
    (
        (ast.BinOp, ast.AugAssign, ast.FormattedValue, ast.Subscript, ast.For),
        _always(CoroutineUse.USED),
    ),
    ((ast.Match, ast.Raise), _always(CoroutineUse.USED)),
    (_ASSIGNMENTS, _assigned),
    ((ast.keyword, ast.Starred, *_COLLECTIONS), _always(None)),
)
