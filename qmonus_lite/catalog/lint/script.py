"""One script of a plugin, parsed for the rules: syntax tree, functions, and name resolution."""

import ast
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from qmonus_lite.catalog.document import Document, Pointer
from qmonus_lite.catalog.lint.contract import GATES
from qmonus_lite.imported_on_use import OnUse
from qmonus_lite.scripting.builtins.callout import Callout
from qmonus_lite.scripting.builtins.names import NAMES

Function = ast.FunctionDef | ast.AsyncFunctionDef
_LINE_END = re.compile(r"\r\n|\r|\n")
_Node = TypeVar("_Node", bound=ast.AST)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScriptView:
    """A script and its position."""

    document: Document
    #: Path to the script in the document.
    pointer: Pointer
    #: The plugin that contains it, as written.
    value: Mapping[str, Any]
    text: str
    #: Line of its first character in the file, from 1, and the columns by which it is indented.
    line: int
    indent: int

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree, parsed lazily: only some rules need it."""
        return ast.parse(self.text)

    @property
    def label(self) -> str:
        """Label for messages."""
        return str(self.pointer[-1])

    @property
    def event(self) -> str | None:
        """The event that it handles; None for a script of a route."""
        return self.value["event"] if self.is_handler else None

    @property
    def is_handler(self) -> bool:
        """Whether it is the module of a Lambda plugin, and not the function body of a route."""
        return self.pointer[-1] == "script"

    @property
    def is_gate(self) -> bool:
        """Whether it handles an event that decides on an upload."""
        return self.event in GATES

    @cached_property
    def entry(self) -> Function | None:
        """The function of a handler that is called with the event."""
        for node in self.tree.body if self.is_handler else ():
            if isinstance(node, ast.AsyncFunctionDef):
                given = [arg.arg for arg in node.args.posonlyargs + node.args.args]
                if given == ["event", "handle"]:
                    return node
        return None

    @cached_property
    def nodes(self) -> Sequence[ast.AST]:
        """All nodes."""
        return list(ast.walk(self.tree))

    @cached_property
    def parents(self) -> Mapping[ast.AST, ast.AST]:
        """Parent of each node."""
        return {below: node for node in self.nodes for below in ast.iter_child_nodes(node)}

    def all(self, kind: type[_Node]) -> Iterator[_Node]:
        """All nodes of a type."""
        return (node for node in self.nodes if isinstance(node, kind))

    def position(self, node: ast.AST) -> tuple[int, int]:
        """Line and column of a node in the file, from 1, in characters."""
        line, offset = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        row = self._rows[line - 1].encode() if line <= len(self._rows) else b""
        column = len(row[:offset].decode(errors="ignore"))
        return self.line + line - 1, self.indent + column + 1

    @cached_property
    def _rows(self) -> Sequence[str]:
        return _LINE_END.split(self.text)

    def function_of(self, node: ast.AST) -> ast.AST:
        """The function (or module) that evaluates a node; for defaults, the enclosing scope."""
        while (above := self.parents.get(node)) is not None:
            if isinstance(above, Function | ast.Lambda) and _is_body(above, node):
                return above
            node = above
        return self.tree

    @cached_property
    def returns(self) -> Mapping[ast.AST, Sequence[ast.Return]]:
        """The `return` statements of each function."""
        return self._by_function(ast.Return)

    @cached_property
    def yields(self) -> Mapping[ast.AST, Sequence[ast.Yield]]:
        """The `yield` expressions of each function."""
        return self._by_function(ast.Yield)

    def _by_function(self, kind: type[_Node]) -> Mapping[ast.AST, Sequence[_Node]]:
        found: dict[ast.AST, list[_Node]] = {}
        for node in self.all(kind):
            found.setdefault(self.function_of(node), []).append(node)
        return found

    @cached_property
    def reads(self) -> Mapping[str, Sequence[ast.Name]]:
        """Where each name is read."""
        return _by_name(node for node in self.all(ast.Name) if isinstance(node.ctx, ast.Load))

    @cached_property
    def writes(self) -> Mapping[str, Sequence[ast.Name]]:
        """Where each name is assigned, or deleted."""
        return _by_name(node for node in self.all(ast.Name) if not isinstance(node.ctx, ast.Load))

    @cached_property
    def classes(self) -> frozenset[str]:
        """Classes of the script whose name has no other binding."""
        return frozenset(n.name for n in self.all(ast.ClassDef) if self.bound[n.name] == 1)

    @cached_property
    def bound(self) -> Mapping[str, int]:
        """Number of bindings of each name, of any form."""
        return Counter(name for node in self.nodes for name in _bound_by(node))

    @cached_property
    def imports(self) -> Mapping[str, str]:
        """Dotted name of the object that each imported name refers to."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    found[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        return found

    def dotted(self, node: ast.AST) -> str:
        """The dotted name that an expression refers to; empty if there is none, or it is local."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        root = self.imports.get(node.id)
        if root is None and self.bound.get(node.id):
            return ""
        return ".".join([root or node.id, *reversed(parts)])

    def calls(self, *names: str) -> Iterator[ast.Call]:
        """Every call of one of these dotted names."""
        if not any(name.rpartition(".")[2] in self.text for name in names):
            return iter(())
        return (node for node in self.all(ast.Call) if self.dotted(node.func) in names)

    @cached_property
    def helpers(self) -> Mapping[str, Function]:
        """Functions of the script whose name has no other binding."""
        return {
            node.name: node
            for node in self.nodes
            if isinstance(node, Function)
            and self.bound[node.name] == 1
            and not node.decorator_list
            and not isinstance(self.parents[node], ast.ClassDef)
        }


def _by_name(nodes: Iterable[ast.Name]) -> Mapping[str, Sequence[ast.Name]]:
    found: dict[str, list[ast.Name]] = {}
    for node in nodes:
        found.setdefault(node.id, []).append(node)
    return found


def _is_body(function: Function | ast.Lambda, below: ast.AST) -> bool:
    return below is function.body if isinstance(function, ast.Lambda) else below in function.body


def _bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, Function | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]


def called(node: ast.Call) -> str:
    """The call's function as written, if it is a name with dots, else an empty string.

    Not `ast.unparse`: a chain of some hundred calls exceeds Python's recursion limit.
    """
    names: list[str] = []
    part: ast.AST = node.func
    while isinstance(part, ast.Attribute):
        names.append(part.attr)
        part = part.value
    return ".".join(reversed([*names, part.id])) if isinstance(part, ast.Name) else ""


def argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """The argument that a call passes for a parameter, by position or by name."""
    if position < len(call.args) and not any(isinstance(a, ast.Starred) for a in call.args):
        return call.args[position]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def constant_text(node: ast.AST | None) -> str | None:
    """The value of an expression that is a string literal, or None."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def found_object(dotted: str) -> object:
    """The object of a dotted name among granted names and loaded modules, or None.

    Executes no script code: attributes are looked up statically.
    """
    root, _, rest = dotted.partition(".")
    if root == "callout" and not rest:
        return Callout.__call__
    value = NAMES[root].value if root in NAMES else sys.modules.get(root)
    if isinstance(value, OnUse):
        value = value.imported()
    for part in rest.split(".") if rest else ():
        value = inspect.getattr_static(value, part, None)
        if isinstance(value, (classmethod, staticmethod)):
            value = value.__func__
    return value


def is_coroutine_function(dotted: str) -> bool:
    """Whether a call of it has to be awaited."""
    return bool(dotted) and inspect.iscoroutinefunction(found_object(dotted))


#: A rule that needs only one script.
ScriptRule = Callable[[ScriptView], Iterator[Any]]
