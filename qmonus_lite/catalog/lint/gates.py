"""Rules for handlers of gate events: return values, `handle.terminate`, waits and timeouts."""

import ast
from collections.abc import Callable, Iterator
from http import HTTPStatus

from qmonus_lite.catalog.lint.awaits import unawaited
from qmonus_lite.catalog.lint.contract import DELIVERED_EVENTS, HANDLE, MASKED, NOT_IN_REQUESTS
from qmonus_lite.catalog.lint.script import (
    Function,
    ScriptRule,
    ScriptView,
    argument,
    called,
    constant_text,
)
from qmonus_lite.catalog.lint.warning import Hit

#: Calls that wait without limit unless given a timeout.
WAITING_CALLS = frozenset(
    [f"requests.{verb}" for verb in "get post put patch delete head options request".split()]
    + ["urllib.request.urlopen", "socket.create_connection"]
)


def of_gates(rule: ScriptRule) -> ScriptRule:
    """Restrict a rule to gates."""
    return lambda script: rule(script) if script.is_gate else iter(())


def of_others(rule: ScriptRule) -> ScriptRule:
    """Restrict a rule to scripts other than gates."""
    return lambda script: iter(()) if script.is_gate else rule(script)


gate_unawaited = of_gates(unawaited)
other_unawaited = of_others(unawaited)


@of_gates
def gate_return_value(script: ScriptView) -> Iterator[Hit]:
    """`return 401, "…"` and the like, which refuse the upload with 500."""
    for node in script.all(ast.Return):
        if script.function_of(node) is not script.entry or node.value is None:
            continue
        if not _is_verdict(script, node.value) and not _after_terminate(script, node):
            yield Hit(
                message=f"'{_short(node)}' refuses every upload that comes here, with 500: a gate"
                " returns nothing; to refuse, 'return await handle.terminate(code=403,"
                " output=\"…\")', to let it in, a plain 'return'",
                node=node,
            )


def _short(node: ast.AST) -> str:
    text = ast.unparse(node).partition("\n")[0]
    return text if len(text) <= 40 else f"{text[:39]}…"


def _is_verdict(script: ScriptView, value: ast.expr, deep: int = 3) -> bool:
    """Whether it is None, a termination, or a call of a helper that returns these only."""
    if isinstance(value, ast.IfExp):
        return _is_verdict(script, value.body, deep) and _is_verdict(script, value.orelse, deep)
    if isinstance(value, ast.Await):
        value = value.value
    if isinstance(value, ast.Constant):
        return value.value is None
    if not isinstance(value, ast.Call):
        return False
    if is_terminate(value):
        return True
    helper = script.helpers.get(called(value))
    return (
        helper is not None
        and deep > 0
        and all(
            node.value is None or _is_verdict(script, node.value, deep - 1)
            for node in script.returns.get(helper, ())
        )
    )


def is_terminate(node: ast.AST) -> bool:
    """Whether it is a call of `handle.terminate`, awaited or not."""
    if isinstance(node, ast.Await):
        node = node.value
    return isinstance(node, ast.Call) and called(node) == "handle.terminate"


def _after_terminate(script: ScriptView, node: ast.stmt) -> bool:
    """Whether `terminate` was called just before, which alone determines the result."""
    block = _block(script, node)
    before = block[: block.index(node)]
    return any(
        isinstance(statement, ast.Expr) and is_terminate(statement.value) for statement in before
    )


def _block(script: ScriptView, node: ast.stmt) -> list[ast.stmt]:
    above = script.parents[node]
    for name in ("body", "orelse", "finalbody"):
        if node in (block := getattr(above, name, None) or []):
            return list(block)
    return [node]


def _codes(script: ScriptView) -> Iterator[tuple[ast.Call, ast.expr | None]]:
    """Every call of `handle.terminate`, with its code."""
    for call in script.all(ast.Call):
        if is_terminate(call):
            yield call, argument(call, 0, "code")


def status(code: ast.expr | None) -> int | None:
    """The status of a literal code; 200 if none is given, None if it is not a literal."""
    if code is None:
        return 200
    if isinstance(code, ast.Attribute) and ast.unparse(code.value).endswith("HTTPStatus"):
        found = getattr(HTTPStatus, code.attr, None)
        return int(found) if isinstance(found, HTTPStatus) else None
    return code.value if isinstance(code, ast.Constant) and type(code.value) is int else None


def terminate_code(script: ScriptView) -> Iterator[Hit]:
    """A code that is not a valid status."""
    for call, code in _codes(script):
        value = code
        if isinstance(code, ast.UnaryOp) and isinstance(code.op, ast.USub):
            value = code.operand
        is_status = status(code)
        wrong = isinstance(value, ast.Constant) and not (is_status and 200 <= is_status <= 599)
        if wrong and code is not None:
            message = f"handle.terminate: {ast.unparse(code)} is no status from 200 to 599, so the"
            yield Hit(message=f"{message} answer is 500; give the number of one", node=call)


@of_gates
def gate_redirect(script: ScriptView) -> Iterator[Hit]:
    """A 3xx, which is now the answer to the client; earlier releases stored the upload."""
    for call, code in _codes(script):
        if 300 <= (status(code) or 0) <= 399:
            message = f"{status(code)} is the answer to the client and the upload is not stored;"
            yield Hit(message=f"{message} before 0.2 it was stored", node=call)


@of_gates
def gate_goes_on(script: ScriptView) -> Iterator[Hit]:
    """A refusal after which the handler continues."""
    for statement in script.all(ast.Expr):
        if not is_terminate(statement.value) or script.function_of(statement) is not script.entry:
            continue
        call = statement.value.value if isinstance(statement.value, ast.Await) else statement.value
        assert isinstance(call, ast.Call)
        code = status(argument(call, 0, "code"))
        if (code is None or code >= 300) and _goes_on(script, statement):
            message = "handle.terminate does not leave the handler: what follows still runs; write"
            yield Hit(message=f"{message} 'return await handle.terminate(…)'", node=statement)


def _goes_on(script: ScriptView, statement: ast.stmt) -> bool:
    """Whether code other than an exit follows the statement in its function."""
    node = statement
    while True:
        block = _block(script, node)
        after = block[block.index(node) + 1 :]
        if after:
            return not isinstance(after[0], ast.Return | ast.Raise | ast.Break | ast.Continue)
        above = script.parents[node]
        if isinstance(above, ast.For | ast.AsyncFor | ast.While):
            return True
        if isinstance(above, ast.ExceptHandler | ast.match_case):
            above = script.parents[above]
        if not isinstance(above, ast.stmt) or isinstance(above, Function):
            return False
        node = above


@of_gates
def gate_waits(script: ScriptView) -> Iterator[Hit]:
    """Calls that wait for another server without a timeout, while the client waits."""
    for call in script.calls(*WAITING_CALLS):
        if argument(call, 99, "timeout") is None:
            name = called(call)
            message = f"{name}(...) without a timeout can wait for ever, and each upload with it"
            yield Hit(message=f"{message}; give timeout=2, or use callout", node=call)


def sleeps(limit: float) -> Callable[[ScriptView], Iterator[Hit]]:
    """A rule for sleeps in a gate as long as the time limit of the event."""

    @of_gates
    def gate_sleeps(script: ScriptView) -> Iterator[Hit]:
        for call in script.calls("time.sleep", "asyncio.sleep"):
            delay = argument(call, 0, "delay")
            seconds = delay.value if isinstance(delay, ast.Constant) else None
            loading = script.function_of(call) is script.tree
            if isinstance(seconds, int | float) and seconds >= limit and not loading:
                message = f"sleeps for {seconds:g} s, and every upload that comes here is refused"
                yield Hit(
                    message=f"{message} after --lambda_sync_timeout={limit:g}; do that in a handler"
                    " of APIGW.OnFileUploaded",
                    node=call,
                )

    return gate_sleeps


def gate_timeout(script: ScriptView, limit: float) -> Iterator[Hit]:
    """A `timeout` of a gate that exceeds the time limit of the event."""
    seconds = script.value.get("timeout", 0)
    if script.is_gate and seconds > limit:
        message = f"timeout: {seconds:g} is longer than --lambda_sync_timeout={limit:g}, after"
        where = (*script.pointer[:-1], "timeout")
        yield Hit(message=f"{message} which the upload is refused", pointer=where)


def handle_attribute(script: ScriptView) -> Iterator[Hit]:
    """Unknown attributes of `handle`, and a `terminate` that is not called."""
    if not script.is_handler or script.bound.get("handle", 0) > 1:
        return
    for node in script.all(ast.Attribute):
        if not isinstance(node.value, ast.Name) or node.value.id != "handle":
            continue
        if node.attr not in HANDLE:
            known = ", ".join(sorted(HANDLE - {"termination"}))
            yield Hit(message=f"handle has no {node.attr!r}; it has {known}", node=node)
        elif node.attr == "terminate" and isinstance(
            script.parents[node], ast.Expr | ast.Await | ast.Return
        ):
            message = "handle.terminate is named and not called, so it does nothing"
            yield Hit(message=f"{message}; write 'handle.terminate(code=…)'", node=node)


def masked_header(script: ScriptView) -> Iterator[Hit]:
    """Credentials read from a stored event, in which they are redacted."""
    if script.event not in DELIVERED_EVENTS:
        return
    unmasked = {str(name).casefold() for name in script.value.get("keep_headers") or ()}
    for node, key in lookups(script):
        name = (constant_text(key) or "").casefold()
        if name in MASKED - unmasked and _is_headers(script, node, name):
            message = f"the value of {constant_text(key)} is masked in {script.event}; add"
            yield Hit(message=f"{message} 'keep_headers: [{constant_text(key)}]'", node=key)


def route_credential(script: ScriptView) -> Iterator[Hit]:
    """qmonus_lite keys and passes read from a request, from which they are removed."""
    for node, key in () if script.is_handler else lookups(script):
        name = (constant_text(key) or "").casefold()
        if name in NOT_IN_REQUESTS and isinstance(node, ast.Attribute) and node.attr == "headers":
            message = f"request.headers has no {constant_text(key)} of ours; request.account says"
            yield Hit(message=f"{message} who asks", node=key)


def lookups(script: ScriptView) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Every read of `x[key]` and `x.get(key)`, as x and the key."""
    for node in script.all(ast.Subscript):
        if isinstance(node.ctx, ast.Load):
            yield node.value, node.slice
    for call in script.all(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "get" and call.args:
            yield call.func.value, call.args[0]


def _is_headers(script: ScriptView, node: ast.expr, name: str) -> bool:
    """Whether it is the event's headers, or the event itself, whose `get` includes the headers."""
    if isinstance(node, ast.Name):
        if node.id == "event":
            return "-" in name
        return any(
            isinstance(assignment.targets[0], ast.Name)
            and assignment.targets[0].id == node.id
            and _is_headers(script, assignment.value, name)
            for assignment in script.all(ast.Assign)
            if not isinstance(assignment.value, ast.Name)
        )
    return any(
        constant_text(key) == "headers" and isinstance(value, ast.Name) and value.id == "event"
        for value, key in lookups(script)
        if script.parents[key] is node
    )
