"""Rules for calls that lack an `await`, and for `with` where `async with` is required."""

import ast
from collections.abc import Iterator, Mapping

from qmonus_lite.catalog.lint.coroutine_use import CoroutineUse, use_of
from qmonus_lite.catalog.lint.coroutines import (
    coroutine_helpers,
    creates_coroutine,
    is_request,
    object_classes,
)
from qmonus_lite.catalog.lint.script import ScriptView, called
from qmonus_lite.catalog.lint.warning import Hit

#: Context managers that support `async with` only.
_ASYNC_WITH = frozenset(
    """
    aiohttp.ClientSession aiohttp.request aiofiles.open aiofiles.tempfile.TemporaryFile
    aiofiles.tempfile.NamedTemporaryFile aiofiles.tempfile.TemporaryDirectory Cache
    asyncio.timeout asyncio.timeout_at asyncio.TaskGroup asyncio.Lock asyncio.Semaphore
    """.split()
)
_CONSEQUENCE = {
    CoroutineUse.DROPPED: "it never runs",
    CoroutineUse.RETURNED: "a coroutine is returned, and it never runs",
    CoroutineUse.TESTED: "it never runs, and a coroutine always counts as true",
    CoroutineUse.USED: "it never runs, and a coroutine stands in the place of its result",
    CoroutineUse.ASSIGNED: "it never runs, and the name holds a coroutine, not its result",
}


def unawaited(script: ScriptView) -> Iterator[Hit]:
    """Every call that creates a coroutine which is not awaited."""
    helpers = coroutine_helpers(script)
    classes = object_classes(script)
    for call in script.all(ast.Call):
        if creates_coroutine(script, call, helpers, classes):
            use = use_of(script, call)
            if use in _CONSEQUENCE and not (
                use is CoroutineUse.RETURNED and is_request(call, classes)
            ):
                name = called(call)
                message = f"{name}(...) is not awaited: {_CONSEQUENCE[use]}"
                yield Hit(message=f"{message}; write 'await {name}(...)'", node=call)


def needs_async_with(script: ScriptView) -> Iterator[Hit]:
    """Every `with` of an async-only context manager, and every `async with` of a sync-only one."""
    classes = object_classes(script)
    for block in script.all(ast.With):
        for item in block.items:
            if _is_async_only(script, item.context_expr, classes):
                name = called(item.context_expr) if isinstance(item.context_expr, ast.Call) else ""
                message = f"'with {name}(...)' raises TypeError; write 'async with {name}(...)'"
                yield Hit(message=message, node=item.context_expr)
    for other in script.all(ast.AsyncWith):
        for item in other.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and script.dotted(call.func) == "open":
                message = "'async with open(...)' raises TypeError; write 'with open(...)'"
                yield Hit(message=f"{message}, or 'async with aiofiles.open(...)'", node=call)


def _is_async_only(script: ScriptView, node: ast.expr, classes: Mapping[str, str]) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return script.dotted(node.func) in _ASYNC_WITH or is_request(node, classes)
