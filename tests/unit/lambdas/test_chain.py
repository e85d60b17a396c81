"""The chain: handlers in order, and what follows from how they end."""

import pytest

from qmonus_lite.events.outcome import Outcome
from qmonus_lite.lambdas.chain import MAX_DEPTH
from tests.unit.lambdas.handlers_setup import DATA, HandlersSetup


def note(text: str) -> str:
    return f"event['seen'] = event['seen'] + ['{text}']"


def seen(outcome: Outcome) -> list[str]:
    names: list[str] = outcome.event["seen"]
    return names


async def test_an_event_without_handlers_goes_through(setup: HandlersSetup) -> None:
    assert await setup.publish("E") == Outcome(code=200, output=None, event=DATA, handlers=())


async def test_handlers_run_by_name_each_seeing_what_the_one_before_changed(
    setup: HandlersSetup,
) -> None:
    setup.handler("b", "E", note("b"), "event['path'] += '/b'")
    setup.handler("a", "E", note("a"), "event['path'] += '/a'")
    setup.handler("c", "Other", note("c"))
    outcome = await setup.publish("E")

    assert (outcome.code, outcome.handlers) == (200, ("a", "b"))
    assert seen(outcome) == ["a", "b"]
    assert outcome.event["path"] == "/upload/a/a/b"


async def test_what_was_published_stays_as_it_was(setup: HandlersSetup) -> None:
    setup.handler("a", "E", "event['path'] = 'x'", "event['headers']['X'] = 'y'")
    data = {"path": "/upload/a", "headers": {}}
    await setup.publish("E", data)

    assert data == {"path": "/upload/a", "headers": {}}


async def test_the_first_terminate_ends_the_chain(setup: HandlersSetup) -> None:
    setup.handler("a", "E", note("a"), "await handle.terminate(202, {'kept': True})", note("after"))
    setup.handler("b", "E", note("b"))
    outcome = await setup.publish("E")

    assert (outcome.code, outcome.output) == (202, {"kept": True})
    assert outcome.handlers == ("a",)
    assert seen(outcome) == ["a", "after"]


async def test_the_handler_of_the_founding_page_reads_its_token(setup: HandlersSetup) -> None:
    setup.handler(
        "a",
        "E",
        'token = event.get("X-Auth-Token", None)',
        'if not token: return await handle.terminate(code=401, output="Unauthorized")',
        'await handle.terminate(code=200, output="Success")',
    )

    assert (await setup.publish("E")).code == 200
    outcome = await setup.publish("E", DATA | {"headers": {}})
    assert (outcome.code, outcome.output, outcome.refused) == (401, "Unauthorized", True)


@pytest.mark.parametrize(
    ("line", "code", "output"),
    [
        ("raise Error(409, 'taken')", 409, "taken"),
        ("raise Error(409, 'taken', {'by': 'x'})", 409, {"by": "x"}),
        ("raise HTTPError(405)", 405, ""),
        ("raise HTTPError(405, reason='no')", 405, "no"),
        ("raise Error(200, 'odd')", 500, "odd"),
        ("raise Error('many', 'odd')", 500, "odd"),
        ("raise Error(None, 'odd')", 500, "odd"),
        ("raise Error(True, 'odd')", 500, "odd"),
        ("raise ValueError('hush')", 500, "a.script failed"),
        ("await handle.terminate(True)", 500, "terminate: True is no status from 200 to 599"),
        ("import sys; sys.exit()", 500, "a.script failed"),
    ],
)
async def test_a_handler_that_raises_ends_the_chain(
    setup: HandlersSetup, line: str, code: int, output: object
) -> None:
    setup.handler("a", "E", line)
    setup.handler("b", "E", note("b"))
    outcome = await setup.publish("E")

    assert (outcome.code, outcome.output, outcome.handlers) == (code, output, ("a",))
    assert seen(outcome) == []


async def test_a_handler_that_raises_after_terminate_has_raised(setup: HandlersSetup) -> None:
    setup.handler("a", "E", "await handle.terminate(200)", "raise ValueError")

    assert (await setup.publish("E")).code == 500


async def test_a_handler_has_its_own_time(setup: HandlersSetup) -> None:
    setup.handler("a", "E", "await asyncio.sleep(30)", more="timeout: 0.1\n")
    outcome = await setup.publish("E")

    assert (outcome.code, outcome.output) == (504, "a.script was not done within 0.1 s")


async def test_success_follows_a_normal_end(setup: HandlersSetup) -> None:
    setup.handler("a", "E", note("a"), more="success: Won\nfailure: Lost\n")
    setup.handler("b", "E", note("b"))
    setup.handler("w", "Won", note("w"))
    setup.handler("l", "Lost", note("l"))

    assert seen(await setup.publish("E")) == ["a", "w", "b"]


async def test_failure_follows_an_exception_and_the_code_stays(setup: HandlersSetup) -> None:
    setup.handler(
        "a", "E", note("a"), "raise Error(409, 'x')", more="success: Won\nfailure: Lost\n"
    )
    setup.handler("w", "Won", note("w"))
    setup.handler("l", "Lost", note("l"))
    outcome = await setup.publish("E")

    assert seen(outcome) == ["a", "l"]
    assert (outcome.code, outcome.output) == (409, "x")


async def test_failure_may_put_another_end_there(setup: HandlersSetup) -> None:
    setup.handler("a", "E", "raise ValueError", more="failure: Lost\n")
    setup.handler("l", "Lost", "await handle.terminate(202, 'mended')")
    outcome = await setup.publish("E")

    assert (outcome.code, outcome.output) == (202, "mended")


@pytest.mark.parametrize(
    ("code", "followed"), [(200, True), (302, True), (400, False), (503, False)]
)
async def test_success_follows_a_kind_terminate_only(
    setup: HandlersSetup, code: int, followed: bool
) -> None:
    setup.handler("a", "E", f"await handle.terminate({code}, 'x')", more="success: Won\n")
    setup.handler("w", "Won", note("w"))
    outcome = await setup.publish("E")

    assert (seen(outcome) == ["w"]) is followed
    assert (outcome.code, outcome.output) == (code, "x")


async def test_a_refusal_further_down_ends_the_chain(setup: HandlersSetup) -> None:
    setup.handler("a", "E", more="success: Won\n")
    setup.handler("b", "E", note("b"))
    setup.handler("w", "Won", more="success: Twice\n")
    setup.handler("t", "Twice", "raise Error(403, 'no')")
    outcome = await setup.publish("E")

    assert (outcome.code, outcome.output) == (403, "no")
    assert seen(outcome) == []


async def test_what_follows_changes_the_event_and_keeps_its_headers(setup: HandlersSetup) -> None:
    setup.handler("a", "E", more="success: Won\n")
    setup.handler("b", "E", "event['token'] = event['headers']['x-auth-token']", note("b"))
    setup.handler("w", "Won", "event['path'] = '/moved'")
    outcome = await setup.publish("E")

    assert (outcome.code, outcome.event["path"], outcome.event["token"]) == (200, "/moved", "t")


async def test_headers_that_a_handler_put_there_are_found_in_any_case_too(
    setup: HandlersSetup,
) -> None:
    setup.handler("a", "E", "event['headers'] = {'x-new': '1'}")
    setup.handler("b", "E", "event['found'] = [event['headers']['X-NEW'], event.get('X-New')]")

    assert (await setup.publish("E")).event["found"] == ["1", "1"]


async def test_a_script_publishes_an_event_itself(setup: HandlersSetup) -> None:
    setup.handler(
        "a",
        "E",
        "made = await lambda_event('Asked', {'n': 1})",
        "event['made'] = [made.code, made.output, made.event.n]",
    )
    setup.handler("x", "Asked", "event['n'] += 1", "await handle.terminate(201, 'ok')")

    assert (await setup.publish("E")).event["made"] == [201, "ok", 2]


async def test_a_script_reads_the_config_of_its_plugin_set(setup: HandlersSetup) -> None:
    setup.put("c.yml", "name: conf\nvalues: {id: !env ID}\n")
    setup.handler("a", "E", "event['id'] = (await get_service_config('conf'))['id']")
    setup.handler("b", "E", "await get_service_config('missing')")
    outcome = await setup.publish("E")

    assert outcome.event["id"] == "AK"
    assert (outcome.code, outcome.output) == (404, "no Config plugin is named 'missing'")


@pytest.mark.parametrize("way", ["success", "failure", "script"])
async def test_a_chain_that_leads_back_to_itself_ends(
    setup: HandlersSetup, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines = {
        "success": (note("a"),),
        "failure": (note("a"), "raise Error(409, 'x')"),
        "script": (
            note("a"),
            "made = await lambda_event('E', event)",
            "event.update(made.event)",
            "if made.code >= 400: raise Error(made.code, str(made.output))",
        ),
    }[way]
    setup.handler("a", "E", *lines, more="" if way == "script" else f"{way}: E\n")
    outcome = await setup.publish("E")

    assert outcome.code == 500
    assert "events follow one another; the last is E" in outcome.output
    assert [vars(record).get("action") for record in caplog.records].count("chain_too_deep") == 1
    assert len(seen(outcome)) == MAX_DEPTH + 1


@pytest.mark.parametrize(
    "line",
    [
        "event['x'] = object()",
        "event['x'] = float('nan')",
        "event['x'] = {1, 2}",
        "event['x'] = b'bytes'",
        "event['x'] = event",
        "event['x'] = chr(0xD800)",
        "event[('a',)] = 1",
        "await handle.terminate(200, object())",
        "await handle.terminate(200, chr(0xD800))",
        "x = []; event['x'] = x; [x := [x] for _ in range(100_000)]; event['x'] = x",
    ],
)
async def test_leaving_what_cannot_travel_is_a_failure(
    setup: HandlersSetup, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    setup.handler("a", "E", line)
    outcome = await setup.publish("E")

    assert (outcome.code, outcome.event, outcome.handlers) == (500, {}, ("a",))
    assert outcome.output == "a handler left something that JSON cannot hold"
    assert [vars(record)["action"] for record in caplog.records] == ["event_not_json"]


async def test_a_dict_of_attributes_travels_as_a_dict(setup: HandlersSetup) -> None:
    setup.handler("a", "E", "event['mu'] = MU(a=MU(b=1))", "event['n'] = {1: 2}")
    outcome = await setup.publish("E")

    assert outcome.event["mu"] == {"a": {"b": 1}}
    assert outcome.event["n"] == {"1": 2}
