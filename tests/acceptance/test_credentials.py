"""Keys and tokens over time: rotated, revoked, braked; the table of the edge has what is none."""

import re

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


def test_a_key_in_the_address_is_never_taken(guarded: Installation) -> None:
    key = fresh(guarded, "query")

    for name in ("api_key", "X-API-Key", "x"):
        assert guarded.curl(f"/-/logon?{name}={key}", "-X", "POST").status == 400
    assert log_on(guarded, key, "-G", "-d", "x=1").status == 400
    assert key not in guarded.log


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

    assert [answer.status for answer in answers[:5]] == [401] * 5
    assert {answer.status for answer in answers[5:]} == {429}
    waits = [int(answer.headers["Retry-After"]) for answer in answers[5:]]
    assert waits[0] == 1 and max(waits) <= 60
    assert answers[5].headers["Content-Type"] == "application/problem+json"
    assert log_on(guarded, key, *guesser).status == 200
    assert log_on(guarded, new_key(), *from_address("203.0.113.8")).status == 401
