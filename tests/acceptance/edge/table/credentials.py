"""Keys and tokens: what is none, what was one, and what is one for something else."""

import secrets
from collections.abc import Callable
from ipaddress import IPv4Address

from tests.acceptance.edge.raw import put, request
from tests.acceptance.edge.table.row import Credential, Ring, Twins, unsigned

#: What stays the same, whoever asks: a path that alice may upload to.
PATH = "/upload/team/x"
ROWS: list[Credential] = []


def bad(id: str, what: str, sent: Callable[[Ring], bytes], *expected: int) -> None:
    ROWS.append(Credential(id=id, what=what, sent=sent, expected=expected))


def fixed(id: str, what: str, *fields: str, expected: int = 401) -> None:
    """The same fields for every installation."""
    bad(id, what, lambda _: put(PATH, *fields), expected)


def token(
    id: str, what: str, made: Callable[[Ring], str], *expected: int, path: str = PATH
) -> None:
    """A token, as X-Auth-Token."""
    bad(id, what, lambda ring: put(path, f"X-Auth-Token: {made(ring)}"), *(expected or (401,)))


def log_on(key: str, *, address: str = "", query: str = "") -> bytes:
    """A logon, if not from a given address from one of its own, so that no row brakes another."""
    address = address or str(IPv4Address(0x0B000000 + secrets.randbelow(1 << 24)))
    fields = (f"X-API-Key: {key}", f"X-Forwarded-For: {address}", "Content-Length: 0")
    return request("POST", f"/-/logon{query}", *fields)


def key(id: str, what: str, given: str) -> None:
    """A logon with this key."""
    bad(id, what, lambda _: log_on(given), 401)


def in_query(id: str, name: str) -> None:
    """The right key, where addresses are written down."""
    bad(id, f"key as {name}", lambda ring: log_on("", query=f"?{name}={ring.key}"), 400)


Change = Callable[[str], str]


def changed(id: str, what: str, change: Change) -> None:
    """A logon with the right key, but for a change."""
    bad(id, what, lambda ring: log_on(change(ring.key)), 401)


def changed_token(id: str, what: str, change: Change) -> None:
    """The right token, but for a change."""
    token(id, what, lambda ring: change(ring.token))


def new_key() -> str:
    """A key that has the form of ours, and no owner."""
    return "qml_" + secrets.token_urlsafe(32)


def off_by_one(text: str, place: int) -> str:
    """With another character there."""
    other = "A" if text[place] != "A" else "B"
    return text[:place] + other + text[place + 1 :]


fixed("B100", "none")
bad(
    "B100",
    "none, waits",
    lambda _: request("PUT", PATH, "Content-Length: 5", "Expect: 100-continue"),
    401,
)
for _what, _field in {
    "empty": "Authorization:",
    "Bearer and nothing": "Authorization: Bearer",
    "another scheme": "Authorization: Basic YTpi",
    "10 KB": f"Authorization: Bearer {'a' * 10_000}",
    "empty token": "X-Auth-Token:",
}.items():
    fixed("B101", _what, _field)
fixed("B101", "two", "Authorization: Bearer a", "Authorization: Bearer b", expected=400)
fixed("B101", "two tokens", "X-Auth-Token: a", "X-Auth-Token: b", expected=400)
fixed("B102", "not ASCII", "X-Auth-Token: caf\xe9")
fixed("B102", "not ASCII, Bearer", "Authorization: Bearer caf\xe9")
for _what, _key in {
    "not ASCII": "caf\xe9",
    "bytes": "qml_\xff\xfe",
    "long": "x" * 7000,
    "empty": "",
}.items():
    key("B102", f"key, {_what}", _key)

token("B103", "expired", lambda ring: ring.mint(exp=1_700_000_000))
token("B103", "not yet valid", lambda ring: ring.mint(nbf=4_000_000_000))
token("B103", "from the future", lambda ring: ring.mint(iat=4_000_000_000, exp=4_000_000_060))
token("B103", "wrong audience", lambda ring: ring.mint(aud="other"))
token("B103", "of nobody", lambda ring: ring.mint(sub="nobody"))
token("B103", "revoked", lambda ring: ring.revoked)
bad("B103", "key of an account that ended", lambda ring: log_on(ring.ended), 401)
token("B104", "a role without uploads", lambda ring: ring.reader, 403)
token("B105", "another tenant's path", lambda ring: ring.token, 403, path="/upload/other/x")
token("B105", "outside of all tenants", lambda ring: ring.token, 403, path="/upload/x")
token("B105", "the operators' door", lambda ring: ring.token, 405, path="/-/plugins")

for _name in ("api_key", "X-API-Key", "x"):
    in_query("B106", _name)
bad(
    "B106",
    "key, beside the right token",
    lambda ring: put(f"{PATH}?key={ring.key}", f"X-Auth-Token: {ring.token}"),
    400,
)
bad("B106", "token alone", lambda ring: put(f"{PATH}?X-Auth-Token={ring.token}"), 400)
bad("B106", "beside the right key", lambda ring: log_on(ring.key, query="?x=1"), 400)

for _what, _change in {
    "off by one at its start": lambda key: off_by_one(key, 4),
    "off by one at its end": lambda key: off_by_one(key, 46),
    "truncated": lambda key: key[:-1],
    "extended": lambda key: key + "A",
    "in the other case": str.swapcase,
    "without its prefix": lambda key: key[4:],
}.items():
    changed("B107", f"key {_what}", _change)
for _what, _change in {
    "off by one": lambda token: off_by_one(token, len(token) - 10),
    "truncated": lambda token: token[:-1],
    "extended": lambda token: token + "A",
    "in the other case": str.swapcase,
}.items():
    changed_token("B107", f"token {_what}", _change)

bad(
    "B108",
    "a hundred wrong keys at once",
    lambda _: b"".join(log_on(new_key(), address="198.51.100.8") for _ in range(100)),
    *[401] * 5,
    *[429] * 95,
)
token(
    "B113",
    "alg none",
    lambda _: unsigned({"alg": "none", "typ": "JWT"}, {"sub": "admin", "exp": 9_999_999_999}),
)
token(
    "B113",
    "alg none, all else right",
    lambda _: unsigned(
        {"alg": "none"},
        {"sub": "alice", "aud": "qmonus-lite", "iat": 1_700_000_000, "exp": 9_999_999_999},
    ),
)


def client(number: int, which: int) -> str:
    return f"10.{which}.{number // 250}.{number % 250}"


TWINS = Twins(
    id="B109",
    what="unknown and wrong",
    first=lambda _, number: log_on(new_key(), address=client(number, 1)),
    second=lambda ring, number: log_on(off_by_one(ring.key, 46), address=client(number, 2)),
    expected=401,
)
