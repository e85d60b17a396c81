"""Detection of coroutines that a script created and did not await: per run, with file and line.

Two methods combined. The value of every call and every `await` of a script is passed through `seen`
(`instrument`), so that a coroutine is known from its creation, wherever it is stored. A coroutine
that was created elsewhere (`map(check, items)`) is found when it is freed, by the function that
CPython calls then: `warnings._warn_unawaited_coroutine`. docs/decisions/gates.md lists what
neither method finds.
"""

import ast
import asyncio
import logging
import sys
import threading
import warnings
from contextvars import ContextVar
from dataclasses import dataclass
from inspect import CO_ITERABLE_COROUTINE
from pathlib import Path
from types import CodeType, CoroutineType, GeneratorType
from typing import Any

from qmonus_lite.scripting.origin import Origin, line_now

logger = logging.getLogger(__name__)

#: Name of `seen` in the globals of a script; not a valid identifier, so scripts cannot use it.
SEEN = "<seen>"
#: The same for `returning`.
RETURNING = "<returning>"
#: Seconds for the event loop of another thread to start a coroutine submitted to it.
START_SECONDS = 0.02
#: Number of coroutines recorded per run before the already started ones are dropped.
MIN_RECORDED = 64
#: Types that `create_task`, `gather` and `run_in_executor` return.
_FUTURES = {asyncio.Future, asyncio.Task, asyncio.tasks._GatheringFuture}  # type: ignore[attr-defined]
#: Our own code; coroutines created there (callout, get_service_config) count as the script's.
_OWN_CODE = str(Path(__file__).parent)


@dataclass(frozen=True)
class Unawaited:
    """One coroutine that was never started."""

    name: str
    #: Line of the plugin file that created it, or 0.
    line: int


class Watch:
    """The coroutines of one run of a script."""

    def __init__(self, origin: Origin, *, strict: bool = False) -> None:
        """`strict`: un-awaited coroutines are errors, which refuse; else they are warnings."""
        self.origin = origin
        self._strict = strict
        self._open = False
        self._coroutines: list[tuple[Any, int]] = []
        #: Futures and tasks of a strict run.
        self._futures: list[tuple[asyncio.Future[Any], int]] = []
        #: A script may create coroutines on several threads (`asyncio.to_thread`).
        self._lock = threading.Lock()
        self._forget_at = MIN_RECORDED
        #: Un-awaited coroutines, set at the end of the run.
        self.unawaited: list[Unawaited] = []
        #: Line of the `return` with a value that ended the handler, or 0.
        self.returned_at = 0

    def begin(self) -> None:
        """Watch the current task, and the tasks and threads that inherit its context."""
        self._open = True
        _watch.set(self)

    async def settle(self) -> None:
        """Let tasks start that the script created just before its end."""
        for pause in (0, 0, 0, START_SECONDS):
            if not any(_is_unstarted(coroutine) for coroutine, _ in self._coroutines):
                return
            await asyncio.sleep(pause)

    def close(self) -> None:
        """End the run: find and log un-awaited coroutines, then drop all references."""
        self._open = False
        recorded, self._coroutines = self._coroutines, []
        scheduled = (
            _scheduled() if any(_is_unstarted(coroutine) for coroutine, _ in recorded) else set()
        )
        while recorded:
            coroutine, line = recorded.pop(0)
            # In a gate, refused wherever else it is referenced. Elsewhere, a coroutine still
            # referenced may be awaited later; if not, it is reported when it is freed.
            alone = self._strict or sys.getrefcount(coroutine) <= 2
            if alone and _is_unstarted(coroutine) and id(coroutine) not in scheduled:
                self.unawaited.append(Unawaited(_name(coroutine), line))
                coroutine.close()
        futures, self._futures = self._futures, []
        self.unawaited += [
            Unawaited(_name(coroutine), line)
            for coroutine, line in futures
            if _is_unretrieved(coroutine)
        ]
        for unawaited in self.unawaited:
            _log_unawaited(
                self.origin, unawaited, logging.ERROR if self._strict else logging.WARNING
            )

    def add_coroutine(self, coroutine: Any, line: int) -> None:
        """Record a coroutine that the script created."""
        if not self._open:
            return
        with self._lock:
            self._coroutines.append((coroutine, line))
            if len(self._coroutines) > self._forget_at:
                self._coroutines = [pair for pair in self._coroutines if _is_unstarted(pair[0])]
                self._forget_at = 2 * len(self._coroutines) + MIN_RECORDED

    def add_future(self, future: "asyncio.Future[Any]", line: int) -> None:
        """Record a future or task; in a gate its failure must not be ignored."""
        if self._open and self._strict:
            with self._lock:
                self._futures.append((future, line))

    def freed(self, coroutine: Any) -> bool:
        """Handle a freed, never started coroutine; returns whether it belonged to this run."""
        top = _first_outside()
        is_own = coroutine.cr_code.co_filename == self.origin.file
        if not self._open or not (is_own or _is_scripts(coroutine.cr_code) or _is_scripts(top)):
            return False
        self.unawaited.append(Unawaited(_name(coroutine), line_now(self.origin.file)))
        return True


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)
#: Plugin files whose scripts were compiled.
_files: set[str] = set()


def instrument(tree: ast.Module, file: str) -> ast.Module:
    """Pass the value of every call and every `await` of a script through `seen`.

    Except directly awaited calls, and annotations, which may become strings.
    """
    _files.add(file)
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns"}:
                continue
            parts = value if isinstance(value, list) else [value]
            waiting.extend(part for part in parts if isinstance(part, ast.AST))
            if isinstance(value, list):
                value[:] = [_wrapped(node, part) for part in value]
            elif isinstance(value, ast.AST):
                setattr(node, name, _wrapped(node, value))
    for entry in tree.body:
        arguments = entry.args.args if isinstance(entry, ast.AsyncFunctionDef) else []
        if [argument.arg for argument in arguments] == ["event", "handle"]:
            _mark_returns(entry)
    return tree


def _mark_returns(entry: ast.AST) -> None:
    """Pass the value of each `return VALUE` of the handler itself through `returning`."""
    waiting = list(ast.iter_child_nodes(entry))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return) and node.value is not None:
            node.value = _call(RETURNING, node.value)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))


def _wrapped(parent: ast.AST, node: Any) -> Any:
    # A value of which only an attribute is read is freed at once, and detected then.
    if not isinstance(node, (ast.Call, ast.Await)) or isinstance(
        parent, (ast.Await, ast.Attribute)
    ):
        return node
    return _call(SEEN, node)


def _call(function: str, node: ast.expr) -> ast.expr:
    """Wrap an expression in a call of one of our functions, at the same source position."""
    name = ast.copy_location(ast.Name(id=function, ctx=ast.Load()), node)
    return ast.copy_location(ast.Call(func=name, args=[node], keywords=[]), node)


def returning(value: Any) -> Any:
    """Return the value unchanged; records the line of its `return`."""
    watch = _watch.get()
    if watch is not None:
        watch.returned_at = sys._getframe(1).f_lineno
    return value


def seen(value: Any) -> Any:
    """Return the value unchanged; records a coroutine for the run that created it."""
    kind = type(value)
    if kind is CoroutineType or (kind is GeneratorType and _is_awaitable(value)):
        watch = _watch.get()
        if watch is not None:
            watch.add_coroutine(value, sys._getframe(1).f_lineno)
    elif kind in _FUTURES:
        watch = _watch.get()
        if watch is not None:
            watch.add_future(value, sys._getframe(1).f_lineno)
    return value


def _is_awaitable(generator: Any) -> bool:
    return bool(generator.gi_code.co_flags & CO_ITERABLE_COROUTINE)


def _is_unstarted(coroutine: Any) -> bool:
    if type(coroutine) is CoroutineType:
        return bool(
            coroutine.cr_frame is not None
            and not coroutine.cr_running
            and not coroutine.cr_suspended
        )
    return bool(
        coroutine.gi_frame is not None and not coroutine.gi_running and not coroutine.gi_suspended
    )


def _is_unretrieved(future: Any) -> bool:
    """True for a future with an unretrieved exception, or a pending non-task such as of `gather`.

    A pending task may be meant to continue.
    """
    if future.done():
        return bool(future._log_traceback)
    return not isinstance(future, asyncio.Task)


def _scheduled() -> set[int]:
    """Ids of the coroutines of all pending tasks of this event loop."""
    try:
        return {id(task.get_coro()) for task in asyncio.all_tasks()}
    except RuntimeError:
        return set()


def _name(coroutine: Any) -> str:
    if isinstance(coroutine, asyncio.Task):
        coroutine = coroutine.get_coro()
    return str(getattr(coroutine, "__qualname__", type(coroutine).__name__.strip("_")))


def _is_scripts(code: CodeType) -> bool:
    return code.co_filename in _files or code.co_filename.startswith(_OWN_CODE)


def _first_outside() -> CodeType:
    """Code object that was executing when the coroutine was freed."""
    return sys._getframe(3).f_code


def _log_unawaited(origin: Origin, unawaited: Unawaited, level: int) -> None:
    extra = {
        "action": "coroutine_not_awaited",
        "plugin": origin.plugin,
        "file": origin.file,
        "line": unawaited.line,
    }
    logger.log(level, "%s: '%s' was never awaited", origin.label, unawaited.name, extra=extra)


class _Hook:
    """Replaces `warnings._warn_unawaited_coroutine` for coroutines of scripts."""

    def __init__(self) -> None:
        self._original: Any = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]
        #: Reference count of a coroutine that is freed because its last reference was dropped.
        self._alone = 0

    def __call__(self, coroutine: Any) -> None:
        count = sys.getrefcount(coroutine)
        if coroutine.cr_code is _probe.__code__:
            self._alone = count
            return
        watch = _watch.get()
        # The garbage collector runs during an arbitrary run; the coroutines it frees are still
        # referenced by their reference cycle, so their count is higher.
        if watch is not None and count <= self._alone and watch.freed(coroutine):
            return
        code = coroutine.cr_code
        if code.co_filename not in _files:
            self._original(coroutine)
            return
        unawaited = Unawaited(_name(coroutine), line_now(code.co_filename) or code.co_firstlineno)
        label = watch.origin.label if watch else "a script"
        origin = Origin(file=code.co_filename, line=unawaited.line, indent=0, label=label)
        _log_unawaited(origin, unawaited, logging.WARNING)


async def _probe() -> None:
    """Calibrates the hook: the reference count of a coroutine that is freed at once."""


def install() -> None:
    """Install the hook for coroutines freed without having been started; once per process."""
    if isinstance(warnings._warn_unawaited_coroutine, _Hook):  # type: ignore[attr-defined]
        return
    warnings._warn_unawaited_coroutine = _Hook()  # type: ignore[attr-defined]
    # Freed at once, so that the hook measures the reference count.
    _probe()  # type: ignore[unused-coroutine]
