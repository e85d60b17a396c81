"""API keys and tokens against the real APIGW: how they are refused, rotated, revoked and braked."""

import base64
import re
import socket
import statistics
import time
from http.client import HTTPConnection

import jwt
import pytest

from qmonus_lite.auth.apikey import new_key
from tests.acceptance.curl import Answer
from tests.acceptance.harness import Installation
from tests.acceptance.process import until

TEAM = "- name: team\n  authorities: [{regex: /upload/team/, methods: [PUT]}]\n"


@pytest.fixture(scope="module")
def guarded(shared: Installation) -> Installation:
    shared.plugin("roles.yml", TEAM)
    shared.account("alice", "team")
    shared.up("--trusted_proxies=127.0.0.1")
    return shared


def log_on(guarded: Installation, key: str, *more: str) -> Answer:
    return guarded.curl("/-/logon", "-X", "POST", "-H", f"X-API-Key: {key}", *more)


def from_address(address: str) -> tuple[str, str]:
    """So that no test brakes another."""
    return "-H", f"X-Forwarded-For: {address}"


def fresh(guarded: Installation, name: str) -> str:
    """The key of a new account, as soon as it is good."""
    key = guarded.account(name, "team")
    until(lambda: log_on(guarded, key, *from_address("192.0.2.99")).status == 200)
    return key


def put(guarded: Installation, token: str) -> int:
    file = guarded.file("f", b"content")
    return guarded.upload(file, "/upload/team/f", token=token).status


def spoken(guarded: Installation, head: str) -> bytes:
    """What comes back over a raw connection."""
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as peer:
        peer.sendall(head.encode("latin-1"))
        return peer.recv(65536)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("X-API-Key: ", 401),
        ("X-API-Key: caf\xe9", 401),
        ("X-API-Key: " + "x" * 7000, 401),
        ("X-API-Key: qml_\xff\xfe", 401),
        ("X-Nothing: x", 401),
    ],
)
def test_a_key_of_any_form_is_401_and_never_500(
    guarded: Installation, header: str, status: int
) -> None:
    said = spoken(
        guarded,
        f"POST /-/logon HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{header}\r\n"
        f"X-Forwarded-For: 198.51.100.{len(header) % 200}\r\n\r\n",
    )

    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"www-authenticate: bearer" in said.lower()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ("X-Auth-Token: caf\xe9", 401),
        ("Authorization: Bearer caf\xe9", 401),
        ("Authorization: Bearer a\r\nAuthorization: Bearer b", 400),
        ("X-Auth-Token: a\r\nX-Auth-Token: b", 400),
    ],
)
def test_a_token_of_any_form_is_answered(guarded: Installation, fields: str, status: int) -> None:
    said = spoken(
        guarded, f"PUT /upload/team/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{fields}\r\n\r\n"
    )

    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    assert "upload/team/x" not in guarded.stored()


def test_a_key_in_the_address_is_never_taken(guarded: Installation) -> None:
    key = fresh(guarded, "query")

    for name in ("api_key", "X-API-Key", "x"):
        assert guarded.curl(f"/-/logon?{name}={key}", "-X", "POST").status == 400
    assert log_on(guarded, key, "-G", "-d", "x=1").status == 400
    assert key not in guarded.log


def test_a_token_of_another_purpose_or_time_or_key_is_none(guarded: Installation) -> None:
    key = (guarded.data / "token.key").read_text()
    secret = base64.b64decode(key)
    now = int(time.time())
    sound = {"sub": "alice", "aud": "qmonus-lite", "iat": now, "exp": now + 60}

    def with_claims(**claims: object) -> int:
        return put(guarded, jwt.encode(sound | claims, secret, algorithm="HS256"))

    assert with_claims() in {200, 201}
    assert with_claims(aud="other") == 401
    assert with_claims(exp=now - 1) == 401
    assert with_claims(iat=now + 3600) == 401
    assert with_claims(sub="nobody") == 401
    assert put(guarded, jwt.encode(sound, b"x" * 32, algorithm="HS256")) == 401
    assert put(guarded, jwt.encode(sound, None, algorithm="none")) == 401  # type: ignore[arg-type]


def test_two_keys_are_good_while_one_takes_over_from_the_other(guarded: Installation) -> None:
    before = fresh(guarded, "rotating")
    base = f"--base_dir={guarded.base}"

    rotated = guarded.run("account", "rotate", "rotating", base).stdout
    [after] = re.findall(r"qml_\S+", rotated)
    until(lambda: log_on(guarded, after, *from_address("192.0.2.9")).status == 200, within=2)
    assert log_on(guarded, before).status == 200

    assert guarded.run("account", "retire", "rotating", base).returncode == 0
    until(lambda: log_on(guarded, before, *from_address("192.0.2.8")).status != 200, within=2)
    assert log_on(guarded, after).status == 200


def test_an_account_taken_away_is_out_at_the_next_request(guarded: Installation) -> None:
    token = guarded.log_on(fresh(guarded, "leaver"))
    assert put(guarded, token) in {200, 201}

    (guarded.plugins / "accounts/leaver.yml").unlink()

    until(lambda: put(guarded, token) == 401, within=1)


def test_guessing_is_braked_and_a_right_key_is_not(guarded: Installation) -> None:
    key = fresh(guarded, "patient")
    guesser = from_address("203.0.113.7")

    answers = [log_on(guarded, new_key(), *guesser) for _ in range(30)]

    assert [one.status for one in answers[:5]] == [401] * 5
    assert {one.status for one in answers[5:]} == {429}
    waits = [int(one.headers["Retry-After"]) for one in answers[5:]]
    assert waits[0] == 1 and max(waits) <= 60
    assert answers[5].headers["Content-Type"] == "application/problem+json"
    assert log_on(guarded, key, *guesser).status == 200
    assert log_on(guarded, new_key(), *from_address("203.0.113.8")).status == 401


def test_unknown_and_wrong_take_the_same_time_and_say_the_same(guarded: Installation) -> None:
    known = fresh(guarded, "timed")
    near = known[:-1] + ("A" if known[-1] != "A" else "B")
    taken: dict[str, list[float]] = {near: [], new_key(): []}
    bodies = set()
    connection = HTTPConnection("127.0.0.1", guarded.port)
    for number in range(150):
        for key, times in taken.items():
            address = f"10.{number}.{len(times) % 250}.{len(taken)}"
            headers = {"X-API-Key": key, "X-Forwarded-For": address}
            began = time.perf_counter()
            connection.request("POST", "/-/logon", headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            times.append(time.perf_counter() - began)
            assert answer.status == 401
            bodies.add(re.sub(rb'"request_id": "[^"]+"', b"", body))
    connection.close()

    first, second = (statistics.median(times) for times in taken.values())
    assert len(bodies) == 1
    # 10 % is the aim; a busy machine is given a little more.
    assert abs(first - second) < 0.15 * max(first, second) + 0.0002
