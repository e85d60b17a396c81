"""Rule for objects bound to one event loop or thread but shared between script threads."""

import ast
from collections.abc import Iterator

from qmonus_lite.catalog.lint.script import ScriptView, called
from qmonus_lite.catalog.lint.warning import Hit

#: Recommended replacement, by dotted name of the constructor.
_LOCK = "use threading.Lock (around code without an await), or Cache"
_QUEUE = "use queue.Queue"
_SESSION = "make one for each run, with 'async with'"
_INSTEAD = {
    **{
        f"asyncio.{name}": _LOCK
        for name in "Lock Semaphore BoundedSemaphore Event Condition Barrier".split()
    },
    **{f"asyncio.{name}": _QUEUE for name in "Queue LifoQueue PriorityQueue".split()},
    **{
        name: _SESSION
        for name in """
        aiohttp.ClientSession aiohttp.TCPConnector httpx.AsyncClient aiosqlite.connect
        asyncpg.create_pool asyncpg.connect aiomysql.create_pool aiopg.create_pool
        redis.asyncio.Redis redis.asyncio.from_url motor.motor_asyncio.AsyncIOMotorClient
        """.split()
    },
    "sqlite3.connect": "make one for each run",
}
#: Methods that create a client bound to an event loop, on any object.
_CLIENT_MAKERS = frozenset({"create_client"})


def loop_bound(script: ScriptView) -> Iterator[Hit]:
    """A lock, a queue, a session or a connection that outlives the run that created it."""
    for call in script.all(ast.Call):
        instead = _INSTEAD.get(script.dotted(call.func))
        if isinstance(call.func, ast.Attribute) and call.func.attr in _CLIENT_MAKERS:
            instead = _SESSION
        if instead and not _for_any_thread(call) and _is_shared(script, call):
            name = called(call)
            yield Hit(
                message=f"{name}(...) is kept for later runs, which run on several event loops and"
                f" threads; it works alone and fails under load; {instead}",
                node=call,
            )


def _for_any_thread(call: ast.Call) -> bool:
    """sqlite3.connect(check_same_thread=False): the author handles thread safety."""
    return any(
        keyword.arg == "check_same_thread" and getattr(keyword.value, "value", None) is False
        for keyword in call.keywords
    )


def _is_shared(script: ScriptView, call: ast.Call) -> bool:
    """Whether the object outlives the run: created at module level, or stored in a global."""
    if script.is_handler and script.function_of(call) is script.tree:
        return True
    node: ast.AST = call
    while isinstance(above := script.parents.get(node), ast.expr | ast.keyword):
        if isinstance(above, ast.Call) and _stores(script, above, node):
            return True
        node = above
    if isinstance(above, ast.Return):
        return _is_cached(script, above)
    if not isinstance(above, ast.Assign | ast.AnnAssign):
        return False
    targets = above.targets if isinstance(above, ast.Assign) else [above.target]
    return any(_outlives(script, target) for target in targets)


def _outlives(script: ScriptView, target: ast.AST) -> bool:
    if isinstance(target, ast.Name):
        kinds = (ast.Global, ast.Nonlocal)
        return any(isinstance(n, kinds) and target.id in n.names for n in script.nodes)
    while isinstance(target, ast.Attribute | ast.Subscript):
        target = target.value
    return isinstance(target, ast.Name) and _is_of_module(script, target)


def _is_of_module(script: ScriptView, name: ast.Name) -> bool:
    """Whether a name is a global of the script, or of another module."""
    if name.id in script.imports:
        return True
    writes = script.writes.get(name.id, ())
    at_top = all(script.function_of(node) is script.tree for node in writes)
    return script.is_handler and bool(writes) and at_top


def _stores(script: ScriptView, above: ast.Call, node: ast.AST) -> bool:
    """`kept.setdefault("session", …)`, `kept.append(…)` on a global variable."""
    target = above.func
    return (
        node is not target
        and isinstance(target, ast.Attribute)
        and target.attr in {"setdefault", "append", "add", "update", "put", "put_nowait"}
        and isinstance(target.value, ast.Name)
        and _is_of_module(script, target.value)
    )


def _is_cached(script: ScriptView, returned: ast.Return) -> bool:
    """Whether it is the return value of a cached function, as with functools.cache."""
    function = script.function_of(returned)
    decorators = getattr(function, "decorator_list", [])
    return any("cache" in ast.unparse(decorator) for decorator in decorators)
