"""Gates: events whose handlers decide over an upload. What is not clearly a yes is a no."""

import asyncio
import gc
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from qmonus_lite.events.envelope import GATES, UPLOADING, Ids
from qmonus_lite.events.outcome import Outcome
from tests.unit.lambdas.handlers_setup import DATA, HandlersSetup

#: Line of the script's own first line in the files of `gate`.
FIRST = 4

#: Helpers that stand behind the gate in the tests.
HELPERS = """
async def check(event):
    raise Error(401, "no token")

async def refuse(handle):
    await handle.terminate(401, "no token")

async def fine(event):
    return True

def deep(handle):
    return (lambda: handle.terminate(401, "no token"))()
"""


def put(
    setup: HandlersSetup, body: str, *, name: str = "a", event: str = UPLOADING, more: str = ""
) -> None:
    script = f"async def run(event, handle):\n{textwrap.indent(body, '    ')}\n{HELPERS}"
    text = textwrap.indent(script, "  ")
    setup.put(f"{name}.yml", f"name: {name}\nevent: {event}\nscript: |-\n{text}\n{more}")


async def asked(setup: HandlersSetup, body: str, **how: Any) -> Outcome:
    put(setup, body, **how)
    return await setup.publish(UPLOADING)


def actions(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(record).get("action", "") for record in caplog.records]


TERMINATED = {
    "bare": "handle.terminate(401, 'no token')",
    "returned": "return handle.terminate(401, 'no token')",
    "returned and awaited": "return await handle.terminate(401, 'no token')",
    "assigned": "verdict = handle.terminate(401, 'no token')",
    "swallowed": "try:\n    handle.terminate(401, 'no token')\n    1 / 0\nexcept Exception: pass",
    "in a nested function": "deep(handle)",
    "in an awaited helper": "await refuse(handle)",
    "in a comprehension": "[handle.terminate(c, 'no token') for c in (401, 402)]",
    "by map": "list(map(handle.terminate, [401], ['no token']))",
    "by partial": "import functools; functools.partial(handle.terminate, 401)('no token')",
    "in a thread": "await asyncio.to_thread(handle.terminate, 401, 'no token')",
    "in an executor": (
        "loop = asyncio.get_running_loop()\n"
        "await loop.run_in_executor(None, lambda: handle.terminate(401, 'no token'))"
    ),
    "in a task": "await asyncio.create_task(refuse(handle))",
    "in a task left alone": "asyncio.create_task(refuse(handle))",
    "in a task group": "async with asyncio.TaskGroup() as group: group.create_task(refuse(handle))",
    "in a finally": "try: return 7\nfinally: handle.terminate(401, 'no token')",
    "by gather": "await asyncio.gather(handle.terminate(401, 'no token'))",
    "with time": "await asyncio.wait_for(handle.terminate(401, 'no token'), 1)",
    "before an exception": "handle.terminate(401, 'no token')\nraise ValueError('then')",
    "before an Error": "handle.terminate(401, 'no token')\nraise Error(200, 'then')",
    "before a returned value": "handle.terminate(401, 'no token')\nreturn 200, 'then'",
    "before a forgotten await": "handle.terminate(401, 'no token')\nfine(event)",
    "before an allow": "handle.terminate(401, 'no token')\nhandle.terminate(200)",
    "after an allow": "handle.terminate(200)\nhandle.terminate(401, 'no token')",
    "by a number of its own": (
        "class Code(int):\n    def __int__(self): return 200\n"
        "handle.terminate(Code(401), 'no token')"
    ),
    "by a status": "import http\nhandle.terminate(http.HTTPStatus.UNAUTHORIZED, 'no token')",
}


@pytest.mark.parametrize("body", TERMINATED.values(), ids=TERMINATED)
async def test_a_termination_counts_when_it_is_called(setup: HandlersSetup, body: str) -> None:
    outcome = await asked(setup, body)

    assert (outcome.code, outcome.output, outcome.denied) == (401, "no token", True)
    assert outcome.refusal is not None
    assert (outcome.refusal.plugin, outcome.refusal.rule) == ("a", "terminate")


async def test_a_termination_counts_before_a_timeout(setup: HandlersSetup) -> None:
    body = "handle.terminate(401, 'no')\nawait asyncio.sleep(30)"

    assert (await asked(setup, body, more="timeout: 0.1\n")).code == 401


async def test_an_allow_before_a_timeout_is_none(setup: HandlersSetup) -> None:
    body = "handle.terminate(200)\nawait asyncio.sleep(30)"
    outcome = await asked(setup, body, more="timeout: 0.1\n")

    assert outcome.code == 504
    assert outcome.refusal is not None
    assert (outcome.refusal.plugin, outcome.refusal.rule) == ("a", "timeout")


@pytest.mark.parametrize("code", [300, 302, 304, 308, 399, 400, 599])
async def test_300_and_above_is_the_answer(setup: HandlersSetup, code: int) -> None:
    headers = {"location": "https://other/x"}
    outcome = await asked(setup, f"handle.terminate({code}, 'x', {headers})")

    assert (outcome.code, outcome.output, outcome.denied) == (code, "x", True)
    assert outcome.headers == {"Location": "https://other/x"}


#: What a gate's script leaves un-awaited, with its line in the body from 0.
UNAWAITED = {
    "a helper": ("\ncheck(event)", 1),
    "a helper that terminates": ("\nrefuse(handle)", 1),
    "assigned": ("\n\nallowed = check(event)", 2),
    "assigned and looked at": ("allowed = check(event)\nif not allowed: handle.terminate(401)", 0),
    "returned": ("return check(event)", 0),
    "a helper before an allow": ("check(event)\nawait handle.terminate(200)", 0),
    "a helper after an allow": ("await handle.terminate(200)\ncheck(event)", 1),
    "get_service_config": ("config = get_service_config('handson')", 0),
    "lambda_event": ("lambda_event('Other', {})", 0),
    "asyncio.sleep": ("asyncio.sleep(1)", 0),
    "wait_for": ("asyncio.wait_for(check(event), 1)", 0),
    "in a nested function": ("def inner():\n    return check(event)\ninner()", 1),
    "in a lambda": ("(lambda: check(event))()", 0),
    "in a comprehension": ("all([check(one) for one in (event,)])", 0),
    "in a generator": ("any(check(one) for one in (event,))", 0),
    "in a dict": ("x = {1: {'a': [check(event)]}}", 0),
    "in a circle": ("x = [check(event)]\nx.append(x)", 0),
    "in a global": ("global kept\nkept = check(event)", 1),
    "on an attribute": ("check.kept = check(event)", 0),
    "by map": ("\nlist(map(check, [event]))", 1),
    "by partial": ("import functools\nfunctools.partial(check, event)()", 1),
    "by a decorator": (
        "import functools\ndef wrap(f):\n    @functools.wraps(f)\n    def g(*a): return f(*a)\n"
        "    return g\nwrap(check)(event)",
        3,
    ),
    "by a decorator of the helper": (
        "import functools\n@functools.lru_cache\nasync def g(one): raise Error(401)\ng(1)",
        3,
    ),
    "by a method": ("class G:\n    async def ok(self): raise Error(401)\nG().ok()", 2),
    "by an object that is called": (
        "class G:\n    async def __call__(self): raise Error(401)\nG()()",
        2,
    ),
    "by an attribute": (
        "class G:\n    @property\n    def ok(self): return check(event)\nG().ok",
        2,
    ),
    "in a try": ("try:\n    check(event)\nfinally:\n    pass", 1),
    "in a finally": ("try:\n    pass\nfinally:\n    check(event)", 3),
    "in an f-string": ("x = f'{check(event)}'", 0),
    "of which an attribute is read": ("x = check(event).cr_code", 0),
    "as a condition": ("if check(event): await handle.terminate(200)", 0),
    "as a default": ("def f(x=check(event)): pass", 0),
    "awaited out of a thread": ("x = await asyncio.to_thread(check, event)", 0),
    "in a thread": ("await asyncio.to_thread(lambda: check(event))", 0),
    "a generator of types.coroutine": (
        "import types\n@types.coroutine\ndef old(): yield\nold()",
        3,
    ),
    "in an awaited helper": ("async def outer():\n    check(event)\nawait outer()", 1),
    "in a task": ("async def outer():\n    check(event)\nawait asyncio.create_task(outer())", 1),
    "gather that is open": ("asyncio.gather(asyncio.sleep(30))", 0),
    "an executor": (
        "import time\nasyncio.get_running_loop().run_in_executor(None, time.sleep, 0.3)",
        1,
    ),
    "beside an awaited one": ("await fine(event)\nfine(event)", 1),
}


@pytest.mark.parametrize(("body", "line"), UNAWAITED.values(), ids=UNAWAITED)
async def test_a_coroutine_that_is_not_awaited_refuses(
    setup: HandlersSetup, body: str, line: int, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = await asked(setup, body)

    assert (outcome.code, outcome.output) == (500, "a.script failed")
    assert outcome.refusal is not None
    assert (outcome.refusal.plugin, outcome.refusal.rule) == ("a", "not-awaited")
    assert outcome.refusal.line == FIRST + 1 + line
    assert outcome.refusal.file.endswith("a.yml")
    logged = [vars(record) for record in caplog.records if record.levelname == "ERROR"]
    assert {record["action"] for record in logged} == {"coroutine_not_awaited"}
    assert logged[0]["line"] == FIRST + 1 + line


@pytest.mark.parametrize("call", ["gather", "create_task", "ensure_future"])
async def test_a_task_whose_failure_was_not_retrieved_refuses(
    setup: HandlersSetup, call: str
) -> None:
    outcome = await asked(setup, f"x = asyncio.{call}(check(event))\nawait asyncio.sleep(0.01)")

    assert outcome.code == 500
    assert outcome.refusal is not None
    assert (outcome.refusal.rule, outcome.refusal.line) == ("not-awaited", FIRST + 1)


AWAITED = {
    "a call": "await fine(event)",
    "later": "x = fine(event)\nawait asyncio.sleep(0)\nassert await x",
    "gather": "await asyncio.gather(fine(event), *[fine(event) for _ in range(100)])",
    "gather of map": "await asyncio.gather(*map(fine, [event] * 3))",
    "task": "x = asyncio.create_task(fine(event))\nassert await x",
    "task that is left alone": "asyncio.create_task(fine(event))",
    "tasks left alone": "for _ in range(200): asyncio.ensure_future(fine(event))",
    "task group": "async with asyncio.TaskGroup() as group: group.create_task(fine(event))",
    "task group that fails": (
        "try:\n    async with asyncio.TaskGroup() as group:\n"
        "        group.create_task(fine(event))\n        raise ValueError\n"
        "except* ValueError: pass"
    ),
    "wait_for": "assert await asyncio.wait_for(fine(event), 1)",
    "shield": "assert await asyncio.shield(fine(event))",
    "as_completed": "for one in asyncio.as_completed([fine(event)]): await one",
    "cancelled before it began": (
        "x = asyncio.create_task(fine(event))\nx.cancel()\n"
        "try: await x\nexcept asyncio.CancelledError: pass"
    ),
    "threadsafe": (
        "loop = asyncio.get_running_loop()\nasyncio.run_coroutine_threadsafe(fine(event), loop)"
    ),
    "loop in a thread": "await asyncio.to_thread(lambda: asyncio.run(fine(event)))",
    "closed": "x = fine(event)\nx.close()",
    "old": "import types\n@types.coroutine\ndef old(): yield\nawait old()",
    "a coroutine function": "x = fine\nassert asyncio.iscoroutinefunction(x)",
    "an async generator": "async def many(): yield 1\nmany()\nx = [one async for one in many()]",
    "super": (
        "class A:\n    def f(self): return 1\n"
        "class B(A):\n    def f(self): return super().f() + 1\nassert B().f() == 2"
    ),
    "a chain of calls": "x = 'a'" + ".strip()" * 400,
    "nothing": "pass",
    "nothing returned": "return",
    "an allow": "await handle.terminate(200, 'welcome')",
    "an allow that is not awaited": "handle.terminate(204)",
    "an allow that is returned": "return handle.terminate(200)",
    "an allow beside a value": "handle.terminate(200)\nreturn 401, 'no'",
}


@pytest.mark.parametrize("body", AWAITED.values(), ids=AWAITED)
async def test_what_leaves_nothing_open_lets_in(
    setup: HandlersSetup, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = await asked(setup, body)

    assert (outcome.code, outcome.output, outcome.refusal) == (200, None, None)
    assert caplog.records == []


@pytest.mark.parametrize(
    "value", ["401, 'no'", "False", "True", "0", "''", "{}", "{'code': 200}", "200", "event"]
)
async def test_a_returned_value_refuses(
    setup: HandlersSetup, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = await asked(setup, f"if event:\n    return {value}")

    assert (outcome.code, outcome.output) == (500, "a.script failed")
    assert outcome.refusal is not None
    assert (outcome.refusal.plugin, outcome.refusal.rule) == ("a", "returned-value")
    assert (outcome.refusal.file[-5:], outcome.refusal.line) == ("a.yml", FIRST + 2)
    [record] = caplog.records
    found = {name: vars(record)[name] for name in ("action", "plugin", "line", "rule")}
    assert found == {
        "action": "gate_refused",
        "plugin": "a",
        "line": FIRST + 2,
        "rule": "returned-value",
    }


@pytest.mark.parametrize("code", ["700", "99", "100", "True", "'401'", "401.0", "None"])
@pytest.mark.parametrize("swallowed", [True, False])
async def test_a_termination_that_is_none_refuses(
    setup: HandlersSetup, code: str, swallowed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    call = f"handle.terminate({code})"
    outcome = await asked(setup, f"try: {call}\nexcept Exception: pass" if swallowed else call)

    assert outcome.code == 500
    assert "is no status from 200 to 599" in outcome.output
    assert outcome.refusal is not None
    assert (outcome.refusal.rule, outcome.refusal.line) == ("bad-terminate", FIRST + 1)
    assert actions(caplog) == ["terminate_misused"]


@pytest.mark.parametrize("given", ["403, 'no', None, 4", "status=403", "code=403, message='no'"])
async def test_a_termination_with_other_arguments_refuses(setup: HandlersSetup, given: str) -> None:
    outcome = await asked(setup, f"try: handle.terminate({given})\nexcept Exception: pass")

    assert outcome.code == 500
    assert outcome.refusal is not None
    assert (outcome.refusal.rule, outcome.refusal.line) == ("bad-terminate", FIRST + 1)


async def test_an_exception_after_an_allow_refuses(setup: HandlersSetup) -> None:
    assert (await asked(setup, "handle.terminate(200)\nraise ValueError")).code == 500


@pytest.mark.parametrize("output", ["object()", "float('nan')", "chr(0xD800)"])
async def test_an_output_that_json_cannot_hold_refuses_even_an_allow(
    setup: HandlersSetup, output: str
) -> None:
    assert (await asked(setup, f"handle.terminate(200, {output})")).code == 500


@pytest.mark.parametrize(
    ("line", "code", "kind"),
    [
        ("raise Error(409, 'taken')", 409, "Error"),
        ("import http; raise Error(http.HTTPStatus.CONFLICT, 'taken')", 409, "Error"),
        ("raise HTTPError(409, 'for the log')", 409, "HTTPError"),
        ("{}['x']", 500, "KeyError"),
        ("await check(event)", 401, "Error"),
    ],
)
async def test_an_exception_is_reported_with_its_line(
    setup: HandlersSetup, line: str, code: int, kind: str
) -> None:
    outcome = await asked(setup, f"x = 1\n{line}")

    assert outcome.code == code
    assert outcome.refusal is not None
    found = outcome.refusal
    # The innermost line: that of a helper, where it raised.
    helpers = FIRST + 1 + len(["x = 1", line]) + 2
    assert found.line == (helpers if "check" in line else FIRST + 2)
    assert (found.plugin, found.rule) == ("a", kind)


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
async def test_all_gates_have_to_agree(setup: HandlersSetup, order: tuple[str, str]) -> None:
    allow, refuse = order
    put(setup, "await handle.terminate(200, 'welcome')", name=allow)
    put(setup, "await handle.terminate(413, 'quota')", name=refuse)
    outcome = await setup.publish(UPLOADING)

    assert (outcome.code, outcome.output) == (413, "quota")
    assert outcome.refusal is not None
    assert outcome.refusal.plugin == refuse
    assert outcome.handlers == (("a", "b") if refuse == "b" else ("a",))


async def test_each_gate_sees_what_the_one_before_allowed(setup: HandlersSetup) -> None:
    put(setup, "event['path'] = '/x'\nhandle.terminate(200)", name="a")
    put(setup, "event['path'] += '/y'", name="b")
    outcome = await setup.publish(UPLOADING)

    assert (outcome.code, outcome.event["path"], outcome.handlers) == (200, "/x/y", ("a", "b"))


@pytest.mark.parametrize(
    ("first", "follows", "code"),
    [
        ("pass", "handle.terminate(403)", 403),
        ("handle.terminate(200)", "handle.terminate(403)", 403),
        ("pass", "return False", 500),
        ("pass", "check(event)", 500),
        ("pass", "handle.terminate(201, 'made')", 200),
        ("pass", "pass", 200),
        ("handle.terminate(401)", "handle.terminate(200)", 401),
        ("raise Error(409)", "handle.terminate(200, 'mended')", 409),
        ("raise Error(409)", "pass", 409),
        ("raise Error(409)", "handle.terminate(503, 'later')", 503),
        ("handle.terminate(401)\nraise Error(409)", "handle.terminate(503, 'later')", 401),
    ],
)
async def test_what_follows_from_a_gate_is_a_gate(
    setup: HandlersSetup, first: str, follows: str, code: int
) -> None:
    put(setup, first, more="success: Next\nfailure: Next\n")
    put(setup, follows, name="n", event="Next")
    put(setup, "event['last'] = True", name="z")
    outcome = await setup.publish(UPLOADING)

    assert outcome.code == code
    assert ("last" in outcome.event) is (code == 200)


@pytest.mark.parametrize("name", sorted(GATES))
async def test_every_gate_event_has_these_rules(setup: HandlersSetup, name: str) -> None:
    put(setup, "return 401", event=name)

    assert (await setup.publish(name)).code == 500


@pytest.mark.parametrize("body", ["return 401, 'no'", "check(event)", "x = check(event)"])
async def test_elsewhere_they_are_no_refusal(
    setup: HandlersSetup, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(setup, body, event="Other")
    outcome = await setup.publish("Other")

    assert (outcome.code, outcome.refusal) == (200, None)
    logged = [vars(record) for record in caplog.records]
    assert [record["action"] for record in logged] == ["coroutine_not_awaited"] * ("check" in body)
    assert all((record["plugin"], record["line"]) == ("a", FIRST + 1) for record in logged)
    assert all(record["levelname"] == "WARNING" for record in logged)


async def test_elsewhere_a_coroutine_may_be_awaited_by_a_later_run(
    setup: HandlersSetup, caplog: pytest.LogCaptureFixture
) -> None:
    body = (
        "async def late(): fine.done = True\n"
        "loop, one = asyncio.get_running_loop(), late()\n"
        "loop.call_later(0.05, lambda: loop.create_task(one))"
    )
    put(setup, body, event="Other")
    await setup.publish("Other")
    await asyncio.sleep(0.2)

    assert caplog.records == []


async def test_runs_on_one_thread_are_kept_apart(setup: HandlersSetup) -> None:
    body = (
        "await asyncio.sleep(event['wait'])\n"
        "if event['bad']:\n    x = check(event)\n    list(map(check, [event]))\n"
        "await asyncio.sleep(0.05)"
    )
    put(setup, body)
    # More of them than lanes.
    events = [DATA | {"bad": not n % 3, "wait": n % 5 / 100} for n in range(30)]
    outcomes = await asyncio.gather(*[setup.publish(UPLOADING, event) for event in events])

    assert [outcome.code for outcome in outcomes] == [
        500 if event["bad"] else 200 for event in events
    ]


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No garbage is collected but by a script."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
async def test_the_garbage_of_one_run_is_not_blamed_on_another(
    setup: HandlersSetup, caplog: pytest.LogCaptureFixture
) -> None:
    # `map` makes the coroutine out of sight, and the circle keeps it until a collection.
    body = (
        "import gc\nif event['bad']:\n    x = list(map(check, [event]))\n    x.append(x)\n"
        "else:\n    gc.collect()"
    )
    put(setup, body)
    await setup.publish(UPLOADING, DATA | {"bad": True})

    assert (await setup.publish(UPLOADING, DATA | {"bad": False})).code == 200
    assert set(actions(caplog)) == {"coroutine_not_awaited"}


async def test_handlers_read_their_ids(setup: HandlersSetup) -> None:
    line = "[handle.event_id, handle.attempt, handle.request_id, handle.upload_id]"
    below = "event['below'] = (await lambda_event('Below')).event['ids']"
    put(setup, f"event['ids'] = {line}\n{below}", event="Other")
    put(setup, f"event['ids'] = {line}", event="Below", name="b")
    ids = Ids(event_id="e", attempt=3, request_id="r", upload_id="u")
    outcome = await setup.publish("Other", ids=ids)

    assert outcome.event["ids"] == ["e", 3, "r", "u"]
    assert outcome.event["below"] == ["e", 1, "r", "u"]
