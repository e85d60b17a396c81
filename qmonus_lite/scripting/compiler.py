"""Compile scripts at load, with the line numbers of the YAML file and only the granted names.

Two forms. A *handler* is a small module with exactly one async function `(event, handle)`. A *body*
is bare code that becomes the body of an async function; its given names are the parameters.
"""

import ast
import builtins
import dis
import functools
import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from types import CodeType, ModuleType
from typing import Any

from qmonus_lite.errors import Fault
from qmonus_lite.imported_on_use import OnUse
from qmonus_lite.log import bound
from qmonus_lite.scripting.loading import StillLoading, in_time
from qmonus_lite.scripting.misspelt import misspelt
from qmonus_lite.scripting.modules import importing, new_module
from qmonus_lite.scripting.origin import Origin
from qmonus_lite.scripting.unawaited import RETURNING, SEEN, instrument, returning, seen
from qmonus_lite.values import Value

#: Maximum number of unknown names reported per script; searching for near matches takes time.
MAX_UNKNOWN_NAMES = 20
#: Function of a compiled script: call it and await the coroutine.
Function = Callable[..., Coroutine[Any, Any, Any]]

_Function = ast.FunctionDef | ast.AsyncFunctionDef
#: Line ends as Python's parser recognizes them.
_LINE_END = re.compile(r"\r\n|\r|\n")
#: Globals that Python gives to every module.
_OF_EVERY_MODULE = {*vars(ModuleType("")), "__annotations__", "__builtins__", "__file__"}


class BadScript(Exception):
    """A script that cannot be used; `faults` lists every reason found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class Script(Value, frozen=True, kw_only=True, weakref=True):
    """A compiled script and its origin."""

    origin: Origin
    function: Function
    #: Its dict is the globals of the script.
    module: ModuleType


def compile_handler(text: str, origin: Origin, names: Mapping[str, object]) -> Script:
    """Compile a script that defines one async function `(event, handle)`; raises BadScript.

    Module-level code (imports, helpers, constants) runs here, once per load.
    """
    tree = _parse(text, origin)
    function = _entry(tree, origin)
    code = _compile(tree, text, origin, set(names))
    module = _execute(code, names, origin)
    return Script(origin=origin, function=_function(module, function, origin), module=module)


def compile_body(
    text: str, origin: Origin, names: Mapping[str, object], given: Sequence[str]
) -> Script:
    """Compile a script as the body of an async function of `given`; raises BadScript."""
    tree = _parse(text, origin)
    _check_imports(tree, origin)
    name = origin.label.rpartition(".")[2]
    shell = ast.parse(f"async def {name}(*, {', '.join(given)}): pass")
    function = shell.body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    ast.increment_lineno(shell, origin.line - 1)
    if tree.body:
        function.body = tree.body
    code = _compile(shell, text, origin, {*names, *given})
    module = _execute(code, names, origin)
    return Script(origin=origin, function=_function(module, name, origin), module=module)


def _fault(origin: Origin, line: int, column: int, message: str) -> Fault:
    return Fault(origin.file, line, column, f"{origin.label}: {message}")


def _parse(text: str, origin: Origin) -> ast.Module:
    """Parse the text and map every node to its position in the YAML file."""
    try:
        # Without the file name: CPython would open that file to compute the column of an error, and
        # use the first lines of the YAML instead of those of the script.
        tree = ast.parse(text)
    except SyntaxError as error:
        line = origin.line - 1 + (error.lineno or 1)
        column = origin.indent + (error.offset or 1)
        raise BadScript([_fault(origin, line, column, f"syntax error: {error.msg}")]) from None
    except (ValueError, MemoryError, RecursionError) as error:
        reason = f"cannot be parsed: {type(error).__name__}"
        raise BadScript([_fault(origin, origin.line, origin.indent + 1, reason)]) from None
    for node in ast.walk(tree):
        for attribute in {"col_offset", "end_col_offset"} & set(node._attributes):
            setattr(node, attribute, getattr(node, attribute) + origin.indent)
    ast.increment_lineno(tree, origin.line - 1)
    return tree


def _entry(tree: ast.Module, origin: Origin) -> str:
    """Return the name of the one async function `(event, handle)`."""
    functions = [node for node in tree.body if isinstance(node, _Function)]
    fitting = [node for node in functions if _takes_event_and_handle(node)]
    handlers = [node for node in fitting if isinstance(node, ast.AsyncFunctionDef)]
    if len(handlers) == 1:
        return handlers[0].name
    misfit: _Function | None
    if handlers:
        misfit, found = handlers[1], f"found {len(handlers)}"
    elif fitting:
        misfit, found = fitting[0], f"'def {fitting[0].name}' lacks an 'async' before it"
    else:
        coroutines = (node for node in functions if isinstance(node, ast.AsyncFunctionDef))
        misfit = next(coroutines, None)
        found = "its parameters differ" if misfit else "found 0"
    line = origin.line if misfit is None else misfit.lineno
    column = (origin.indent if misfit is None else misfit.col_offset) + 1
    wanted = "expected exactly one 'async def NAME(event, handle):'"
    raise BadScript([_fault(origin, line, column, f"{wanted}; {found}")])


def _takes_event_and_handle(node: _Function) -> bool:
    given = [arg.arg for arg in node.args.posonlyargs + node.args.args]
    # A keyword-only parameter without a default appears as None.
    return given == ["event", "handle"] and None not in node.args.kw_defaults


def _compile(tree: ast.Module, text: str, origin: Origin, names: set[str]) -> CodeType:
    try:
        code = compile(instrument(tree, origin.file), origin.file, "exec")
    except SyntaxError as error:
        line = error.lineno or origin.line
        column = _column(text, origin, line, (error.offset or 1) - 1)
        raise BadScript([_fault(origin, line, column, f"syntax error: {error.msg}")]) from None
    except (ValueError, MemoryError, RecursionError) as error:
        reason = f"cannot be compiled: {type(error).__name__}"
        raise BadScript([_fault(origin, origin.line, origin.indent + 1, reason)]) from None
    known = {*names, *dir(builtins), *_OF_EVERY_MODULE, SEEN, RETURNING}
    if not _imports_all(tree) and (
        faults := [
            _fault(origin, line, _column(text, origin, line, offset), misspelt(name, known))
            for name, line, offset in _unknown_names(code, known)[:MAX_UNKNOWN_NAMES]
        ]
    ):
        raise BadScript(faults)
    return code


def _column(text: str, origin: Origin, line: int, offset: int) -> int:
    """Column in the YAML file, in characters from 1; Python's `offset` counts bytes."""
    row = _LINE_END.split(text)[line - origin.line].encode()
    return origin.indent + len(row[: max(0, offset - origin.indent)].decode(errors="ignore")) + 1


def _imports_all(tree: ast.Module) -> bool:
    """True if the script imports names that cannot be determined here (`from x import *`)."""
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return any(alias.name == "*" for node in imports for alias in node.names)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _unknown_names(code: CodeType, known: set[str]) -> list[tuple[str, int, int]]:
    """Global names that the code reads and that are not defined, with line and byte offset."""
    steps = [step for part in _codes(code) for step in dis.get_instructions(part)]
    made = {step.argval for step in steps if step.opname in {"STORE_NAME", "STORE_GLOBAL"}}
    found: dict[str, tuple[str, int, int]] = {}
    for step in steps:
        reads = step.opname in {"LOAD_NAME", "LOAD_GLOBAL"}
        if reads and step.argval not in known | made and step.positions:
            position = (step.argval, step.positions.lineno or 1, step.positions.col_offset or 0)
            found.setdefault(step.argval, position)
    return sorted(found.values(), key=lambda entry: entry[1:])


def _check_imports(tree: ast.Module, origin: Origin) -> None:
    """Run the top-level imports of a body now, so that a missing module is reported at load."""
    faults = []
    for node in tree.body:
        for name in _imported(node):
            try:
                in_time(functools.partial(importlib.import_module, name))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                message = f"cannot import {name!r}: {str(error) or type(error).__name__}"
                message += _where_to_install(error)
                faults.append(_fault(origin, node.lineno, node.col_offset + 1, message))
    if faults:
        raise BadScript(faults)


def _imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    return []


def _where_to_install(error: BaseException) -> str:
    """Hint for an error that a module is missing, else an empty string."""
    if not isinstance(error, ModuleNotFoundError):
        return ""
    return f"; install it for the Python that runs qmonus-lite: {sys.executable} -m pip install"


def _imported_names(code: CodeType, names: Mapping[str, object]) -> dict[str, object]:
    """The granted names, with those imported that the code reads: no request waits for that.

    Also for an import of a submodule in a function. If one thread imports a package while another
    imports a submodule of it, Python may give either a module that is not complete.
    """
    read = {name.partition(".")[0] for part in _codes(code) for name in part.co_names}
    return {
        name: value.imported() if name in read and isinstance(value, OnUse) else value
        for name, value in names.items()
    }


def _execute(code: CodeType, names: Mapping[str, object], origin: Origin) -> ModuleType:
    """Run the module level of a script; any exception becomes a fault of the plugin."""
    module = new_module(origin)
    space = vars(module)
    space.update({**_imported_names(code, names), SEEN: seen, RETURNING: returning})
    try:
        with importing(module), bound(plugin=origin.plugin):
            in_time(lambda: exec(code, space))
    except KeyboardInterrupt:
        raise
    except StillLoading as error:
        own_lines = [line for file, line in error.lines if file == origin.file]
        message = f"{error}; what takes long has to stand inside of a function"
        raise BadScript(
            [_fault(origin, (own_lines or [origin.line])[0], origin.indent + 1, message)]
        ) from None
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own_lines = [frame.lineno or 0 for frame in frames if frame.filename == origin.file]
        line = (own_lines and own_lines[-1]) or origin.line
        message = f"raised {type(error).__name__} while loading: {error}"
        message += _where_to_install(error)
        raise BadScript([_fault(origin, line, origin.indent + 1, message)]) from None
    return module


def _function(module: ModuleType, name: str, origin: Origin) -> Function:
    function: Function = vars(module)[name]
    if inspect.isasyncgenfunction(function):
        line = function.__code__.co_firstlineno
        message = "has a 'yield', which makes it a generator; a script returns"
        raise BadScript([_fault(origin, line, origin.indent + 1, message)])
    return function
