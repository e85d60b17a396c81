"""Who is let in, by the head of a request."""

import re
from dataclasses import replace
from functools import partial

import pytest

from qmonus_lite.auth.account import Account, Authority, Directory, Role
from qmonus_lite.errors import BadRequest, Forbidden, MethodNotAllowed, Unauthorized
from qmonus_lite.routing.admission import AuthorizedRequest
from qmonus_lite.routing.admission import admit as gate_admit
from qmonus_lite.routing.match import best
from tests.unit.routing.routing_setup import RouteOf, RoutingSetup, catalog, incoming_of, spec


async def admit(
    setup: RoutingSetup, route: RouteOf, method: str = "GET", headers: dict[str, str] | None = None
) -> AuthorizedRequest:
    match = setup.routing.find(catalog(route), "/v1/x")
    assert match is not None
    return await setup.routing.admit(match, incoming_of(method, "/v1/x", "", headers or {}))


CLOSED = RouteOf(needs_account=True, authorities=["backend:80"])
OPEN = RouteOf(authorities=["backend:80"])


async def test_an_open_route_lets_everybody_in(setup: RoutingSetup) -> None:
    assert (await admit(setup, OPEN, "DELETE")).actor is None


async def test_a_closed_route_asks_for_a_credential(setup: RoutingSetup) -> None:
    with pytest.raises(Unauthorized):
        await admit(setup, CLOSED)


async def test_a_closed_route_lets_in_whom_a_role_allows(setup: RoutingSetup) -> None:
    admission = await admit(setup, CLOSED, "GET", {"x-auth-token": setup.token("reader")})

    assert admission.actor is not None
    assert admission.actor.name == "reader"


async def test_a_closed_route_refuses_whom_no_role_allows(setup: RoutingSetup) -> None:
    with pytest.raises(Forbidden):
        await admit(setup, CLOSED, "PUT", {"X-Auth-Token": setup.token("reader")})


async def test_a_closed_route_lets_in_a_callout_of_ours(setup: RoutingSetup) -> None:
    admission = await admit(setup, CLOSED, "PUT", setup.pass_for("PUT", "/v1/x"))

    assert admission.actor is not None
    assert admission.actor.by_pass


async def test_who_may_get_may_ask_for_the_head(setup: RoutingSetup) -> None:
    route = RouteOf(needs_account=True, specs=[spec("GET")])
    admission = await admit(setup, route, "HEAD", {"X-Auth-Token": setup.token("reader")})

    assert admission.spec is not None
    assert admission.spec.method == "GET"


async def test_a_method_without_a_spec_is_refused_with_those_that_have_one(
    setup: RoutingSetup,
) -> None:
    with pytest.raises(MethodNotAllowed) as refused:
        await admit(setup, RouteOf(specs=[spec("PUT"), spec("GET")]), "POST")

    assert refused.value.headers == {"Allow": "GET, HEAD, PUT"}


async def test_a_refused_account_does_not_learn_the_methods(setup: RoutingSetup) -> None:
    with pytest.raises(Unauthorized):
        await admit(setup, RouteOf(needs_account=True, specs=[spec("PUT")]), "POST")


async def test_a_role_that_allows_it_replaces_the_backends(setup: RoutingSetup) -> None:
    headers = {"X-Auth-Token": setup.token("guide"), "x-xaas-static-routing": "[::1]:8080"}

    assert (await admit(setup, CLOSED, "GET", headers)).authorities == ("[::1]:8080",)


@pytest.mark.parametrize("name", ["reader", "writer"])
async def test_other_roles_do_not_replace_the_backends(setup: RoutingSetup, name: str) -> None:
    headers = {"X-Auth-Token": setup.token(name), "X-Xaas-Static-Routing": "other:80"}

    with pytest.raises(Forbidden, match="X-Xaas-Static-Routing"):
        await admit(setup, CLOSED, "GET", headers)


async def test_the_backends_of_an_open_route_cannot_be_replaced(setup: RoutingSetup) -> None:
    headers = {"X-Auth-Token": setup.token("guide"), "X-Xaas-Static-Routing": "other:80"}

    with pytest.raises(Forbidden):
        await admit(setup, OPEN, "GET", headers)


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "http://a:80",
        "a:0",
        "a:65536",
        "a:x",
        "u@a:80",
        "a:80/x",
        "a:80, b:80",
        "[::g]:1",
        "[1:2]:1",
        "é",
    ],
)
async def test_refuses_a_malformed_replacement(setup: RoutingSetup, wanted: str) -> None:
    headers = {"X-Auth-Token": setup.token("guide"), "X-Xaas-Static-Routing": wanted}

    with pytest.raises(BadRequest, match="host:port"):
        await admit(setup, CLOSED, "GET", headers)


async def test_roles_have_to_allow_a_path_as_it_was_written_and_as_it_is_normalized(
    setup: RoutingSetup,
) -> None:
    route = RouteOf(path="/v1/{name}", needs_account=True)
    for name, regex in (("kept", "/v1/[^K]"), ("given", "/v1/K")):
        role = Role(
            name=name,
            authorities=(Authority(regex=re.compile(regex), methods=frozenset({"GET"})),),
        )
        account = Account(username=name, roles=(name,))
        directory = Directory(accounts={name: account}, roles={name: role})
        gatekeeper = replace(setup.gatekeeper, directory=partial(_same, directory))
        match = best(catalog(route).routes, "/v1/%E2%84%AA")
        assert match is not None
        headers = {"X-Auth-Token": gatekeeper.token_for(name).token}
        request = incoming_of("GET", "/v1/%E2%84%AA", "", headers).request
        with pytest.raises(Forbidden):
            gate_admit(gatekeeper, match, request)

        assert request.account == {"name": name, "roles": [name]}


def _same(directory: Directory) -> Directory:
    return directory
