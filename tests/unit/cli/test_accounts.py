"""`account add`, `token`."""

import re

import jwt
import pytest

from qmonus_lite.auth import apikey
from qmonus_lite.datadir import DataDir
from tests.unit.cli.conftest import Shell

ROLE = "- name: reader\n  authorities: [{regex: /, methods: [GET]}]\n"


def test_writes_an_account_and_shows_its_key_once(shell: Shell) -> None:
    shell.put("roles.yml", ROLE)
    ended = shell.run("account", "add", "kim", "--roles=reader, admin")
    place = shell.plugins / "accounts" / "kim.yml"

    assert ended.status == 0
    [key] = re.findall(r"qml_[A-Za-z0-9_-]{43}", ended.out)
    text = place.read_text()
    assert key not in text
    assert apikey.digest(key) in text
    assert place.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in place.parent.iterdir()] == ["kim.yml"]


def test_the_account_is_a_sound_plugin(shell: Shell) -> None:
    shell.run("account", "add", "kim", "--roles=admin")

    assert "Account kim" in shell.run("check").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("account",), "account: expected 'add NAME --roles=ROLE[,ROLE]'"),
        (("account", "add"), "account: expected 'add NAME"),
        (("account", "add", "a", "b"), "account: expected 'add NAME"),
        (("account", "remove", "a"), "account: expected 'add NAME"),
        (("account", "add", "kim"), "account add: give --roles=; there are: admin"),
        (("account", "add", "kim", "--roles=,"), "account add: give --roles="),
        (("account", "add", "kim", "--roles=no"), "account add: no role is named 'no'"),
        (("account", "add", "../kim", "--roles=admin"), "account add: '../kim': expected letters"),
        (("account", "add", "a b", "--roles=admin"), "account add: 'a b': expected letters"),
        (("account", "add", "", "--roles=admin"), "account add: '': expected letters"),
        (("token",), "token: expected the name of an account"),
        (("token", "a", "b"), "token: expected the name of an account"),
        (("token", "nobody"), "token: no account is named 'nobody'"),
    ],
)
def test_says_what_it_expected(shell: Shell, words: tuple[str, ...], message: str) -> None:
    assert shell.refused(*words).startswith(message)
    assert list(shell.plugins.iterdir()) == []


def test_adds_no_account_twice(shell: Shell) -> None:
    shell.run("account", "add", "kim", "--roles=admin")
    before = (shell.plugins / "accounts" / "kim.yml").read_text()

    assert "an account 'kim' already" in shell.refused("account", "add", "kim", "--roles=admin")
    assert (shell.plugins / "accounts" / "kim.yml").read_text() == before


def test_overwrites_no_file_that_stands_there(shell: Shell) -> None:
    place = shell.put("accounts/kim.yml", "name: other\nvalues: {}\n")

    assert "cannot be written" in shell.refused("account", "add", "kim", "--roles=admin")
    assert place.read_text() == "name: other\nvalues: {}\n"


def test_adds_nothing_to_a_faulty_set(shell: Shell) -> None:
    shell.put("a.yml", "x: 1\n")

    assert "1 fault(s) in plugins" in shell.refused("account", "add", "kim", "--roles=admin")


def test_prints_a_token_for_an_account(shell: Shell) -> None:
    shell.run("account", "add", "kim", "--roles=admin")
    token = shell.run("token", "kim", "--token_ttl=1h").out.strip()
    key = DataDir(shell.state).key("token.key")
    claims = jwt.decode(token, key, algorithms=["HS256"], audience="qmonus-lite")

    assert claims["sub"] == "kim"
    assert 3590 < claims["exp"] - claims["iat"] <= 3601


def test_prints_a_token_for_the_local_admin(shell: Shell) -> None:
    assert shell.run("token", "admin").out.count(".") == 2
