"""Scripts of routes, run: how they answer, let go on, fail."""

import asyncio
import logging
from typing import Any

import pytest

from qmonus_lite.auth import apikey
from qmonus_lite.errors import BadRequest, InternalFault, Problem
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.routing.pipeline import Routing
from qmonus_lite.scripting.context import ScriptContext
from qmonus_lite.scripting.runner import Runner
from tests.unit.routing.routing_setup import Echo, Reply, RouteOf, RoutingSetup, spec


async def refusal(setup: RoutingSetup, text: str) -> Problem:
    with pytest.raises(Problem) as refused:
        await setup.ask(RouteOf(request=text), "GET", "/v1/x")
    return refused.value


async def answer(setup: RoutingSetup, text: str) -> Reply:
    return await setup.ask(RouteOf(request=text), "GET", "/v1/x")


async def test_a_script_answers_with_what_it_returns(setup: RoutingSetup) -> None:
    reply = await answer(setup, 'return 201, dict(a="日")')

    assert (reply.code, reply.json) == (201, {"a": "日"})
    assert reply.headers["Content-Type"] == "application/json"


async def test_a_script_sees_the_request_and_where_it_stands(setup: RoutingSetup) -> None:
    text = (
        "return [request.method, request.path, request.headers['x-a'], request.params,"
        " request.body.decode(), route.template.text, resources, parameters, session]"
    )
    reply = await setup.ask(
        RouteOf(path="/v1/{id}", request=text),
        "PUT",
        "/v1/%E6%97%A5?a=1&a=%202",
        headers={"X-A": "b"},
        body=b"body",
    )
    params = {"a": ["1", " 2"]}

    assert reply.json == [
        *["PUT", "/v1/%E6%97%A5", "b", params, "body"],
        *["/v1/{id}", {"id": "日"}, params, "the handler"],
    ]


async def test_a_script_never_sees_a_pass(setup: RoutingSetup) -> None:
    route = RouteOf(needs_account=True, request="return dict(request.headers)")
    reply = await setup.ask(route, "GET", "/v1/x", headers=setup.pass_for("GET", "/v1/x"))

    assert reply.json == {}


@pytest.mark.parametrize(
    "text",
    [
        "finish({'a': 1}, code=202)",
        "return finish({'a': 1}, code=202)",
        "finish({'a': 1}, code=202)\nreturn 'other'",
        "finish({'a': 1}, code=202)\nraise Error(500)",
        "finish({'a': 1}, code=202)\n1 / 0",
        "finish({'a': 1}, code=202)\nfinish('again')",
        "import sys\nfinish({'a': 1}, code=202)\nsys.exit()",
    ],
)
async def test_what_was_given_to_finish_stands(setup: RoutingSetup, text: str) -> None:
    reply = await answer(setup, text)

    assert (reply.code, reply.json) == (202, {"a": 1})


async def test_finish_stands_when_the_script_overruns() -> None:
    setup = RoutingSetup(script_timeout=0.2)
    reply = await answer(setup, "finish('done')\nawait asyncio.sleep(30)")
    await setup.close()

    assert reply.body == b"done"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("raise HTTPError(405)", 405),
        ("raise HTTPError(418)", 418),
        ("raise Error(422)", 422),
        ("raise Error(599)", 599),
        ("1 / 0", 500),
    ],
)
async def test_a_script_refuses_with_the_code_it_raises(
    setup: RoutingSetup, text: str, code: int
) -> None:
    assert (await refusal(setup, text)).status == code


async def test_the_client_gets_the_reason_of_an_error(setup: RoutingSetup) -> None:
    assert (await refusal(setup, "raise Error(404, 'no such image')")).detail == "no such image"


async def test_the_client_gets_no_text_of_an_unknown_exception(setup: RoutingSetup) -> None:
    assert "secret" not in (await refusal(setup, "raise ValueError('secret')")).detail


async def test_the_body_of_an_error_is_the_answer(setup: RoutingSetup) -> None:
    reply = await answer(setup, "raise Error(409, 'taken', dict(by='a'))")

    assert (reply.code, reply.json) == (409, {"by": "a"})


async def test_an_error_may_carry_a_code_that_refuses_nothing(setup: RoutingSetup) -> None:
    reply = await answer(setup, "raise Error(202, 'later')")

    assert (reply.code, reply.body) == (202, b"later")


async def test_a_script_that_overruns_is_a_gateway_timeout() -> None:
    setup = RoutingSetup(script_timeout=0.1)
    refused = await refusal(setup, "await asyncio.sleep(30)")
    await setup.close()

    assert refused.status == 504


@pytest.mark.parametrize(
    "text",
    [
        "return object()",
        "return {'a': datetime.datetime.now()}",
        "return 99, 'x'",
        "finish(object())",
        "request.headers = None",
        "request.headers['A'] = 'b\\nc'",
        "request.method = 'no method'",
        "request.path = 'relative'",
        "request.params = 5",
        "request.path = '/v1/' + chr(0xD83D)",
        "request.params['a'] = [chr(0xD83D)]",
        "request.headers['A'] = chr(0xD83D)",
        "return chr(0xD83D)",
        "request.params['a'] = [None]",
        "request.body = 5",
        "request.paht = '/v1/y'",
        "raise Error(99)",
        "raise Error('what')",
        "raise Error(400, body=object())",
    ],
)
async def test_what_is_no_answer_is_logged_with_its_file_and_script(
    setup: RoutingSetup, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await refusal(setup, text)).status == 500
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "/v1/x.request_forbidden_process" in record.getMessage()
    assert record.__dict__["file"] == "plugins/routes.yml"


async def test_an_error_that_is_no_answer_is_our_fault(setup: RoutingSetup) -> None:
    assert isinstance(await refusal(setup, "raise Error(99)"), InternalFault)


async def test_a_script_that_blocks_delays_no_other_request(setup: RoutingSetup) -> None:
    slow = asyncio.create_task(answer(setup, "time.sleep(1)\nreturn 'slow'"))
    await asyncio.sleep(0.1)

    assert (await answer(setup, "return 'quick'")).body == b"quick"
    assert not slow.done()
    assert (await slow).body == b"slow"


async def test_a_script_changes_what_goes_on(setup: RoutingSetup, echo: Echo) -> None:
    text = "\n".join(
        [
            "request.method = POST",
            "request.path = '/v2/日 本%20?'",
            "request.headers['x-a'] = 'b'",
            "request.headers['X-Count'] = 5",
            "request.params['limit'] = 5",
            "parameters['tag'] = ['a b', '日']",
            "request.body = dict(a=1)",
        ]
    )
    route = RouteOf(request=text, authorities=[echo.authority])
    await setup.ask(route, "PUT", "/v1/x?old=1", body=b"old")

    assert echo.last.method == "POST"
    path, _, query = echo.last.raw_path.partition("?")
    assert path == "/v2/%E6%97%A5%20%E6%9C%AC%20%3F"
    assert query == "old=1&limit=5&tag=a+b&tag=%E6%97%A5"
    assert (echo.last.headers["X-A"], echo.last.headers["X-Count"]) == ("b", "5")
    assert echo.last.body == b'{"a": 1}'


async def test_a_script_may_put_a_plain_dict_in_place_of_the_headers(
    setup: RoutingSetup, echo: Echo
) -> None:
    route = RouteOf(request="request.headers = {'x-a': 'b'}", authorities=[echo.authority])
    await setup.ask(route, "GET", "/v1/x", headers={"X-Old": "c"})

    assert echo.last.headers["X-A"] == "b"
    assert "X-Old" not in echo.last.headers


async def test_a_schema_is_asked_before_the_script(setup: RoutingSetup) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "default": 5}}}
    route = RouteOf(specs=[spec("PUT", body=schema)], request="return json.loads(request.body)")

    assert (await setup.ask(route, "PUT", "/v1/x", body=b"{}")).json == {"n": 5}
    with pytest.raises(Problem, match="body /n: "):
        await setup.ask(route, "PUT", "/v1/x", body=b'{"n": "5"}')


async def test_a_response_script_changes_the_answer(setup: RoutingSetup, echo: Echo) -> None:
    echo.headers = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Old", "c"), ("X-Gone", "d")]
    text = "\n".join(
        [
            "response.code += 2",
            "response.body = response.body.upper()",
            "response.headers['x-old'] = 'new'",
            "del response.headers['x-gone']",
        ]
    )
    reply = await setup.ask(RouteOf(response=text, authorities=[echo.authority]), "GET", "/v1/x")

    assert (reply.code, reply.body) == (202, b"FROM THE BACKEND")
    assert [value for name, value in reply.fields if name == "Set-Cookie"] == ["a=1", "b=2"]
    assert reply.headers["X-Old"] == "new"
    assert "X-Gone" not in reply.headers
    assert reply.headers["Content-Length"] == "16"


async def test_a_response_script_answers_with_what_it_returns(
    setup: RoutingSetup, echo: Echo
) -> None:
    text = "return 203, [request.method, response.code, response.body.decode()]"
    route = RouteOf(response=text, authorities=[echo.authority])
    reply = await setup.ask(route, "GET", "/v1/x")

    assert (reply.code, reply.json) == (203, ["GET", 200, "from the backend"])


async def test_a_response_script_may_refuse(setup: RoutingSetup, echo: Echo) -> None:
    route = RouteOf(response="raise Error(451)", authorities=[echo.authority])
    with pytest.raises(Problem) as refused:
        await setup.ask(route, "GET", "/v1/x")

    assert refused.value.status == 451


async def test_a_response_script_gets_a_body_that_is_not_compressed(
    setup: RoutingSetup, echo: Echo
) -> None:
    route = RouteOf(response="pass", authorities=[echo.authority])
    await setup.ask(route, "GET", "/v1/x", headers={"Accept-Encoding": "gzip"})

    assert echo.last.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("text", ["response.code = 5", "response.body = 5", "response.headers = 5"])
async def test_a_response_script_that_leaves_no_answer_fails(
    setup: RoutingSetup, echo: Echo, text: str
) -> None:
    with pytest.raises(Problem) as refused:
        await setup.ask(RouteOf(response=text, authorities=[echo.authority]), "GET", "/v1/x")

    assert refused.value.status == 500


async def test_no_response_script_runs_on_an_answer_of_the_request_script(
    setup: RoutingSetup,
) -> None:
    route = RouteOf(request="return 'ours'", response="return 'theirs'")

    assert (await setup.ask(route, "GET", "/v1/x")).body == b"ours"


@pytest.mark.parametrize(("method", "code"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_no_body_is_sent_where_http_has_none(
    setup: RoutingSetup, method: str, code: int
) -> None:
    reply = await setup.ask(RouteOf(request=f"return {code}, 'body'"), method, "/v1/x")

    assert (reply.code, reply.body) == (code, b"")
    assert reply.headers.get("Content-Length") == ("4" if method == "HEAD" else None)


@pytest.mark.parametrize("needs_account", [True, False])
async def test_a_script_sees_who_asks(setup: RoutingSetup, needs_account: bool) -> None:
    route = RouteOf(needs_account=needs_account, request="return [request.account]")
    reply = await setup.ask(route, "GET", "/v1/x", headers={"X-Auth-Token": setup.token("guide")})

    assert reply.json == [{"name": "guide", "roles": ["guide"]}]


async def test_a_request_without_a_valid_credential_has_no_account(setup: RoutingSetup) -> None:
    route = RouteOf(request="return [request.account]")
    for headers in ({}, {"X-Auth-Token": "theirs"}, {"Account": "guide"}):
        assert (await setup.ask(route, "GET", "/v1/x", headers=headers)).json == [None]
    closed = RouteOf(needs_account=True, request="return [request.account]")
    passed = setup.pass_for("GET", "/v1/x")

    assert (await setup.ask(closed, "GET", "/v1/x", headers=passed)).json == [None]


async def test_a_script_sees_the_token_of_its_client_and_no_key(setup: RoutingSetup) -> None:
    token = setup.token("guide")
    headers = {"X-Auth-Token": token, "X-API-Key": apikey.new_key(), "X-A": "b"}
    reply = await setup.ask(
        RouteOf(request="return dict(request.headers)"), "GET", "/v1/x", headers=headers
    )

    assert reply.json == {"X-Auth-Token": token, "X-A": "b"}


async def test_an_event_of_a_route_carries_no_credential_of_its_client(setup: RoutingSetup) -> None:
    published: list[dict[str, Any]] = []

    async def publish(_name: str, event: dict[str, Any]) -> Outcome:
        published.append(event)
        return Outcome(code=200, output=None, event=event)

    setup.routing = Routing(
        gatekeeper=setup.gatekeeper,
        runner=Runner(script_threads=setup.script_threads),
        backends=setup.backends,
        script_context=lambda _catalog: ScriptContext(config=lambda _name: {}, publish=publish),
        script_timeout=5,
    )
    text = "await lambda_event('Told', {'headers': request.headers, 'a': [str(request.headers)]})"
    token = setup.token("guide")
    headers = {"Authorization": f"Bearer {token}", "X-A": "b"}
    await setup.ask(RouteOf(request=text + "\nreturn 'told'"), "GET", "/v1/x", headers=headers)

    assert published[0]["headers"] == {"Authorization": "Bearer ********", "X-A": "b"}
    assert token not in str(published)


async def test_a_token_of_ours_in_the_query_is_refused(setup: RoutingSetup) -> None:
    with pytest.raises(BadRequest, match="the query has a credential"):
        await setup.ask(RouteOf(request="return 1"), "GET", f"/v1/x?t={setup.token('guide')}")
