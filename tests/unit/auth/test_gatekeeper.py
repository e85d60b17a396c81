"""The gatekeeper: 401 for who is unknown, 403 for who may not, and at once."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from qmonus_lite.auth import apikey
from qmonus_lite.auth.account import Account, Authority, Directory, Role
from qmonus_lite.auth.callout_pass import HEADER, Passes
from qmonus_lite.auth.gatekeeper import AUDIENCE, Gatekeeper
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.clock import Clock
from qmonus_lite.errors import BadRequest, Forbidden, Unauthorized
from tests.unit.auth.test_tokens import LateClock

PLACE = "127.0.0.1:9099"
#: The same in every process of a run, since it stands in the names of tests.
KEY, OTHER_KEY = "qml_" + "aZ0-_" * 8 + "xyz", "qml_" + "aZ0-_" * 8 + "xyA"


def role(name: str, regex: str, *methods: str, static_routing: bool = False) -> Role:
    authority = Authority(regex=re.compile(regex), methods=frozenset(methods))
    return Role(name=name, authorities=(authority,), static_routing=static_routing)


@dataclass
class Gate:
    """A gatekeeper and the accounts and roles that a plugin set may take away."""

    accounts: dict[str, Account] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    clock: Clock = field(default_factory=lambda: Clock("UTC"))

    @property
    def gatekeeper(self) -> Gatekeeper:
        return Gatekeeper(
            directory=lambda: Directory(accounts=self.accounts, roles=self.roles),
            minter=Minter(key=b"t" * 32, clock=self.clock),
            passes=Passes(minter=Minter(key=b"p" * 32, clock=self.clock)),
            host_port=PLACE,
            clock=self.clock,
            token_ttl=60,
        )

    def add(self, name: str, *roles: str, expires: datetime | None = None) -> None:
        self.accounts[name] = Account(
            username=name,
            roles=roles,
            api_key_sha256=apikey.digest(KEY).removeprefix("sha256:"),
            expires_at=expires,
        )

    def bearer(self, name: str = "user") -> dict[str, str]:
        return {"X-Auth-Token": self.gatekeeper.token_for(name).token}


@pytest.fixture
def gate() -> Gate:
    gate = Gate(roles={"putter": role("putter", "/upload/", "PUT")})
    gate.add("user", "putter")
    return gate


@pytest.mark.parametrize("header", ["X-Auth-Token", "Authorization"])
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer  "])
def test_lets_in_whom_a_role_allows(gate: Gate, header: str, scheme: str) -> None:
    token = gate.gatekeeper.token_for("user").token
    headers = {header: token if header == "X-Auth-Token" else scheme + token}
    actor = gate.gatekeeper.authorize(headers, "PUT", "/upload/a")

    assert (actor.name, actor.by_pass) == ("user", False)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/upload/a"), ("PUT", "/uploads"), ("PUT", "/x/upload/a")]
)
def test_403_for_what_no_role_allows(gate: Gate, method: str, path: str) -> None:
    with pytest.raises(Forbidden, match="'user'"):
        gate.gatekeeper.authorize(gate.bearer(), method, path)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Auth-Token": ""},
        {"X-Auth-Token": "nonsense"},
        {"X-Auth-Token": "caf\xe9"},
        {"X-Auth-Token": "x" * 10_000},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic dXNlcjp4"},
        {"X-Api-Key": OTHER_KEY},
        {"X-Api-Key": KEY[:-1]},
        {HEADER: ""},
        {HEADER: "nonsense"},
    ],
)
def test_401_without_a_valid_credential(gate: Gate, headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized) as caught:
        gate.gatekeeper.authorize(headers, "PUT", "/upload/a")

    assert caught.value.headers["WWW-Authenticate"].startswith("Bearer")


def test_401_looks_the_same_for_an_unknown_account_and_a_bad_token(gate: Gate) -> None:
    details = set()
    for headers in (gate.bearer("stranger"), {"X-Auth-Token": "nonsense"}, {}):
        with pytest.raises(Unauthorized) as caught:
            gate.gatekeeper.identify(headers, "PUT", "/upload/a")
        details.add(caught.value.detail)

    assert len(details) == 1


def test_a_token_ends(gate: Gate) -> None:
    gate.clock = LateClock(-61)
    headers = gate.bearer()
    gate.clock = Clock("UTC")

    with pytest.raises(Unauthorized):
        gate.gatekeeper.authorize(headers, "PUT", "/upload/a")


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_says_when_the_clocks_differ(gate: Gate, seconds: float) -> None:
    gate.clock = LateClock(seconds)
    token, a_pass = gate.bearer(), gate.gatekeeper.passes.issue(PLACE, "PUT", "/upload/a")
    gate.clock = Clock("UTC")

    says = "is not valid now: it .*the clock of this gateway says "
    with pytest.raises(Unauthorized, match=f"the token {says}.*/-/logon makes one"):
        gate.gatekeeper.authorize(token, "PUT", "/upload/a")
    with pytest.raises(Unauthorized, match=f"the pass of this callout {says}"):
        gate.gatekeeper.authorize(a_pass, "PUT", "/upload/a")


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_token_verified_before_is_judged_by_the_clock_as_it_is(
    gate: Gate, seconds: float
) -> None:
    gate.clock = clock = LateClock(0)
    gatekeeper, headers = gate.gatekeeper, gate.bearer()
    gatekeeper.authorize(headers, "PUT", "/upload/a")
    clock.seconds = seconds

    with pytest.raises(Unauthorized, match="the clock of this gateway says "):
        gatekeeper.authorize(headers, "PUT", "/upload/a")
    clock.seconds = 0
    gatekeeper.authorize(headers, "PUT", "/upload/a")


def test_an_account_taken_away_is_out_at_once(gate: Gate) -> None:
    headers = gate.bearer()
    gate.gatekeeper.authorize(headers, "PUT", "/upload/a")
    del gate.accounts["user"]

    with pytest.raises(Unauthorized):
        gate.gatekeeper.authorize(headers, "PUT", "/upload/a")


@pytest.mark.parametrize("taken", ["from the account", "from the set"])
def test_a_role_taken_away_is_gone_at_once(gate: Gate, taken: str) -> None:
    headers = gate.bearer()
    gate.gatekeeper.authorize(headers, "PUT", "/upload/a")
    if taken == "from the set":
        gate.roles.clear()
    else:
        gate.add("user")

    with pytest.raises(Forbidden):
        gate.gatekeeper.authorize(headers, "PUT", "/upload/a")


def test_a_role_given_counts_at_once(gate: Gate) -> None:
    headers = gate.bearer()
    gate.roles["reader"] = role("reader", "/", "GET")
    gate.add("user", "putter", "reader")

    assert gate.gatekeeper.authorize(headers, "GET", "/anything").name == "user"


def test_an_account_ends_on_its_day(gate: Gate) -> None:
    now = datetime.now(UTC)
    gate.add("user", "putter", expires=now + timedelta(hours=1))
    headers = gate.bearer()
    gate.gatekeeper.authorize(headers, "PUT", "/upload/a")
    gate.add("user", "putter", expires=now)

    with pytest.raises(Unauthorized):
        gate.gatekeeper.authorize(headers, "PUT", "/upload/a")
    with pytest.raises(Unauthorized):
        gate.gatekeeper.log_on(KEY)


def test_logon_gives_a_token_for_the_owner_of_a_key(gate: Gate) -> None:
    given = gate.gatekeeper.log_on(KEY)

    assert given.username == "user"
    assert 55 < given.expires_at - gate.clock.now() <= 60
    assert gate.gatekeeper.identify({"X-Auth-Token": given.token}, "GET", "/").name == "user"


@pytest.mark.parametrize("key", [None, "", "nonsense", KEY[:-1], KEY + "x", "caf\xe9"])
def test_logon_refuses_any_other_key(gate: Gate, key: str | None) -> None:
    with pytest.raises(Unauthorized, match="X-API-Key"):
        gate.gatekeeper.log_on(key)


def test_only_roles_with_the_right_route_statically(gate: Gate) -> None:
    assert not gate.gatekeeper.identify(gate.bearer(), "PUT", "/").may_route_statically
    gate.roles["putter"] = role("putter", "/", "PUT", static_routing=True)

    assert gate.gatekeeper.identify(gate.bearer(), "PUT", "/").may_route_statically


def test_a_callout_of_ours_needs_no_account(gate: Gate) -> None:
    headers = gate.gatekeeper.passes.issue(PLACE, "PUT", "/v1/x")
    actor = gate.gatekeeper.authorize(headers, "PUT", "/v1/x")

    assert actor.by_pass
    assert actor.name == "callout"


@pytest.mark.parametrize(
    ("host_port", "method", "path"),
    [(PLACE, "GET", "/v1/x"), (PLACE, "PUT", "/v1/y"), ("10.0.0.1:9099", "PUT", "/v1/x")],
)
def test_a_pass_for_another_request_is_no_credential(
    gate: Gate, host_port: str, method: str, path: str
) -> None:
    headers = gate.gatekeeper.passes.issue(host_port, method, path)

    with pytest.raises(Unauthorized, match="not for this request"):
        gate.gatekeeper.authorize(headers, "PUT", "/v1/x")


def test_a_bad_pass_is_refused_even_beside_a_good_token(gate: Gate) -> None:
    with pytest.raises(Unauthorized):
        gate.gatekeeper.authorize(gate.bearer() | {HEADER: "x"}, "PUT", "/upload/a")


@pytest.mark.parametrize("path", ["/-/plugins", "/-/openapi.json", "/-/"])
def test_a_pass_allows_no_path_of_operators(gate: Gate, path: str) -> None:
    headers = gate.gatekeeper.passes.issue(PLACE, "GET", path)

    with pytest.raises(Forbidden):
        gate.gatekeeper.authorize(headers, "GET", path)


def test_a_pass_is_no_token_and_a_token_no_pass(gate: Gate) -> None:
    value = gate.gatekeeper.passes.issue(PLACE, "PUT", "/upload/a")[HEADER]
    with pytest.raises(Unauthorized):
        gate.gatekeeper.identify({"X-Auth-Token": value}, "PUT", "/upload/a")
    token = gate.gatekeeper.token_for("user").token
    with pytest.raises(Unauthorized):
        gate.gatekeeper.identify({HEADER: token}, "PUT", "/upload/a")


def test_a_token_for_something_else_is_no_token(gate: Gate) -> None:
    other = gate.gatekeeper.minter.mint("user", audience=AUDIENCE + "-other", ttl=60)

    with pytest.raises(Unauthorized):
        gate.gatekeeper.identify({"X-Auth-Token": other}, "PUT", "/")


def test_roles_are_for_what_a_path_says_and_a_pass_for_how_it_is_written(gate: Gate) -> None:
    gate.roles["putter"] = role("putter", "/upload/日 本/", "PUT")
    raw = "/upload/%E6%97%A5%20%E6%9C%AC/a%2525"
    gate.gatekeeper.authorize(gate.bearer(), "PUT", raw)
    gate.gatekeeper.authorize(gate.gatekeeper.passes.issue(PLACE, "PUT", raw), "PUT", raw)

    with pytest.raises(Unauthorized):
        gate.gatekeeper.authorize(
            gate.gatekeeper.passes.issue(PLACE, "PUT", raw), "PUT", "/upload/日 本/a"
        )


@pytest.mark.parametrize("raw", ["/upload/a%2Fb", "/upload/%ff", "/upload/%zz"])
def test_a_path_that_says_nothing_clear_is_a_bad_request(gate: Gate, raw: str) -> None:
    with pytest.raises(BadRequest):
        gate.gatekeeper.authorize(gate.bearer(), "PUT", raw)


KELVIN, GUARD = "/upload/%E2%84%AAEYS/a", "/upload/%E3%82%AB%E3%82%99%E3%83%BC%E3%83%88%E3%82%99/a"


def test_roles_judge_a_path_in_the_form_in_which_it_is_stored(gate: Gate) -> None:
    gate.roles["putter"] = role("putter", "/upload/[^K]|/upload/KEYS/public", "PUT")
    with pytest.raises(Forbidden):
        gate.gatekeeper.authorize(gate.bearer(), "PUT", KELVIN)
    gate.gatekeeper.authorize(gate.bearer(), "PUT", "/upload/%E2%84%AAEYS/public")

    gate.roles["putter"] = role("putter", "/upload/ガード/", "PUT")
    gate.gatekeeper.authorize(gate.bearer(), "PUT", GUARD)


@pytest.mark.parametrize(
    ("regex", "allowed"), [("/upload/[^K]", False), ("/upload/K", False), ("/upload/", True)]
)
def test_of_a_path_that_goes_on_as_it_was_written_roles_judge_both_forms(
    gate: Gate, regex: str, allowed: bool
) -> None:
    gate.roles["putter"] = role("putter", regex, "PUT")
    if allowed:
        gate.gatekeeper.authorize(gate.bearer(), "PUT", KELVIN, goes_on=True)
        return
    with pytest.raises(Forbidden):
        gate.gatekeeper.authorize(gate.bearer(), "PUT", KELVIN, goes_on=True)


def test_a_pass_is_for_a_path_as_it_is_written_in_any_form(gate: Gate) -> None:
    headers = gate.gatekeeper.passes.issue(PLACE, "PUT", KELVIN)
    gate.gatekeeper.authorize(headers, "PUT", KELVIN, goes_on=True)

    with pytest.raises(Unauthorized):
        gate.gatekeeper.authorize(headers, "PUT", "/upload/KEYS/a")


@pytest.mark.parametrize("header", ["X-Auth-Token", "Authorization"])
def test_an_account_is_known_by_its_token(gate: Gate, header: str) -> None:
    gate.add("user", "putter", "not there")
    token = gate.gatekeeper.token_for("user").token
    actor = gate.gatekeeper.known(
        {header: token if header == "X-Auth-Token" else f"Bearer {token}"}
    )

    assert actor is not None
    assert actor.account == {"name": "user", "roles": ["putter"]}


def test_nothing_but_a_valid_credential_makes_an_account_known(gate: Gate) -> None:
    token = gate.gatekeeper.token_for("user").token
    passed = gate.gatekeeper.passes.issue(PLACE, "PUT", "/upload/a")
    for headers in (
        *({}, {"X-Auth-Token": "x"}, {"X-Auth-Token": f"{token}, {token}"}, {"Account": "user"}),
        *({"Authorization": "Basic dXNlcjp4"}, {"X-Api-Key": OTHER_KEY}, {"X-Other": token}),
        *(passed, {HEADER: "x", "X-Auth-Token": token}),
    ):
        assert gate.gatekeeper.known(headers) is None, headers
    gate.accounts.clear()

    assert gate.gatekeeper.known({"X-Auth-Token": token}) is None


def test_a_script_that_comes_by_a_pass_has_no_account(gate: Gate) -> None:
    headers = gate.gatekeeper.passes.issue(PLACE, "PUT", "/v1/x")

    assert gate.gatekeeper.identify(headers, "PUT", "/v1/x").account is None


def test_a_token_that_was_found_good_is_judged_by_time_and_accounts_each_time(gate: Gate) -> None:
    clock = LateClock(0)
    end = datetime.now(UTC) + timedelta(seconds=30)
    ends = Account(username="user", roles=("putter",), expires_at=end)
    stays = Account(username="stays", roles=("putter",))
    directories = [
        Directory(accounts={"user": ends, "stays": stays}, roles=gate.roles),
        Directory(accounts={"user": ends, "stays": stays}, roles={}),
        Directory(accounts={}, roles=gate.roles),
    ]
    gatekeeper = replace(gate.gatekeeper, directory=lambda: directories[0], clock=clock)
    gatekeeper = replace(gatekeeper, minter=Minter(key=b"t" * 32, clock=clock))
    mine, theirs = (
        {"X-Auth-Token": gatekeeper.token_for(name).token} for name in ("user", "stays")
    )
    for headers in (mine, mine, theirs):
        gatekeeper.authorize(headers, "PUT", "/upload/a")

    clock.seconds = 31
    assert gatekeeper.known(mine) is None
    assert gatekeeper.known(theirs) is not None
    # With another key only what is remembered is good.
    forgetful = replace(gatekeeper, minter=Minter(key=b"x" * 32, clock=clock))
    assert forgetful.known(theirs) is not None
    clock.seconds = 61
    assert forgetful.known(theirs) is None
    clock.seconds = 0
    assert gatekeeper.known(mine) is not None
    directories.pop(0)
    with pytest.raises(Forbidden):
        gatekeeper.authorize(theirs, "PUT", "/upload/a")
    directories.pop(0)
    assert gatekeeper.known(theirs) is None
