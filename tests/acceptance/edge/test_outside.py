"""APIGW on addresses that others reach, and behind proxies."""

import hashlib
import json
import re
import threading

import pytest

from tests.acceptance.edge.raw import Exchange, exchange, put, request
from tests.acceptance.harness import Installation
from tests.acceptance.process import until


def send(installation: Installation, sent: bytes) -> Exchange:
    return exchange(installation.port, sent, answers=1, to_end=False, ends=False)


@pytest.mark.parametrize("command", ["up", "apigw"])
def test_does_not_listen_to_others_in_clear(installation: Installation, command: str) -> None:
    refused = installation.run(command, *installation.own_flags, "--address=192.0.2.1")

    assert refused.returncode == 2
    assert "--behind_proxy" in refused.stderr and refused.stderr.count("\n") == 1
    assert not installation.data.exists()


@pytest.fixture(scope="module")
def up(shared: Installation) -> Installation:
    """An installation that others reach, by proxies of its own."""
    shared.up(
        "--address=0.0.0.0",
        "--advertise_address=127.0.0.1",
        "--behind_proxy",
        "--trusted_proxies=127.0.0.1,10.0.0.0/8",
    )
    return shared


def test_listens_to_others_behind_a_proxy(up: Installation) -> None:
    answer = up.upload(up.file("a", b"a"), "/upload/a", token=up.token)

    assert answer.status == 201


def test_believes_its_own_proxies_about_the_client(up: Installation) -> None:
    forwarded = "X-Forwarded-For: 198.51.100.66, 203.0.113.9, 10.1.1.1"

    answer = send(up, request("GET", "/-/plugins", forwarded))

    assert answer.statuses == (401,)
    until(lambda: "/-/plugins 401" in up.everything)
    assert re.search(r"/-/plugins 401 .*peer=203\.0\.113\.9", up.everything)
    assert "198.51.100.66" not in up.everything


def test_of_many_that_want_a_new_file_one_gets_it(up: Installation) -> None:
    statuses: list[int] = []
    token = f"X-Auth-Token: {up.token}"

    def create(number: int) -> None:
        body = b"%d" % number * 1000
        answer = send(up, put("/upload/new", token, "If-None-Match: *", body=body))
        statuses.extend(answer.statuses)

    clients = [threading.Thread(target=create, args=(number,)) for number in range(20)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    assert sorted(statuses) == [201] + 19 * [412]
    assert "upload/new" in up.stored() and not any("staging" in name for name in up.stored())


def test_says_the_digest_that_was_asked_for(up: Installation) -> None:
    body = bytes(range(256)) * 10_000
    token = f"X-Auth-Token: {up.token}"

    answer = send(up, put("/upload/digest", token, "Want-Repr-Digest: sha-256=1", body=body))

    head, _, receipt = answer.raw.partition(b"\r\n\r\n")
    assert answer.statuses == (201,)
    assert json.loads(receipt)["sha256"] == hashlib.sha256(body).hexdigest()
    assert b"\r\nRepr-Digest: sha-256=:" in head
    assert b"sha256" not in send(up, put("/upload/digest", token)).raw
