"""Large bodies with a schema: checked one at a time, apart from the loop of the sockets."""

import asyncio
import json
import threading

from tests.unit.routing.routing_setup import RouteOf, RoutingSetup, spec

ROUTE = RouteOf(
    specs=[spec("PUT", body={"items": {"type": "integer"}})], request="return [len(request.body)]"
)


async def test_large_bodies_are_checked_on_one_thread(setup: RoutingSetup) -> None:
    body = json.dumps([1] * 200_000).encode()
    await setup.ask(ROUTE, "PUT", "/v1/x", body=b"[]")
    before = set(threading.enumerate())
    replies = await asyncio.gather(*[setup.ask(ROUTE, "PUT", "/v1/x", body=body) for _ in range(6)])

    assert [reply.json for reply in replies] == [[len(body)]] * 6
    began = [thread.name for thread in set(threading.enumerate()) - before]
    assert [name for name in began if not name.startswith("test")] == ["check-body_0"]
