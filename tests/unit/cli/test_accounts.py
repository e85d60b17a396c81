"""`account`, `token`."""

import json
import re

import jwt
import pytest

from qmonus_lite.auth import apikey
from qmonus_lite.catalog.document import Document
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
    ("arguments", "message"),
    [
        (
            ("account",),
            "account: expected add NAME --roles=ROLE[,ROLE] | list [--json] | rotate NAME |"
            " retire NAME | remove NAME",
        ),
        (("account", "add"), "account: expected add NAME"),
        (("account", "add", "a", "b"), "account: expected add NAME"),
        (("account", "remove"), "account: expected add NAME"),
        (("account", "remove", "a"), "account remove: no account is named 'a'"),
        (("account", "list", "a"), "account: expected add NAME"),
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
def test_says_what_it_expected(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    assert shell.refused(*arguments).startswith(message)
    assert list(shell.plugins.iterdir()) == []


def test_adds_the_first_account_before_the_first_start(shell: Shell) -> None:
    shell.plugins.rmdir()

    assert shell.run("account", "add", "kim", "--roles=admin").status == 0
    assert shell.plugins.stat().st_mode & 0o777 == 0o755
    assert "Account kim" in shell.run("check").out


def test_makes_no_plugin_folder_that_was_named(shell: Shell) -> None:
    output = shell.refused("account", "add", "kim", "--roles=admin", "--plugins_base_dirs=more")

    assert output.startswith("--plugins_base_dirs: more: no folder at ")


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
    DataDir(shell.state).key("token.key")
    token = shell.run("token", "kim", "--token_ttl=1h").out.strip()
    key = DataDir(shell.state).key("token.key")
    claims = jwt.decode(token, key, algorithms=["HS256"], audience="qmonus-lite")

    assert claims["sub"] == "kim"
    assert 3590 < claims["exp"] - claims["iat"] <= 3601


def test_prints_a_token_for_the_local_admin(shell: Shell) -> None:
    DataDir(shell.state).key("token.key")

    assert shell.run("token", "admin").out.count(".") == 2


def test_no_command_but_add_and_seal_makes_anything(shell: Shell) -> None:
    shell.put("outer.yml", "name: outer\nvalues: {a: b}\n")

    assert shell.run("check").status == 0
    assert shell.run("config", "show", "outer").status == 0
    assert shell.run("account", "list").out == ""
    assert f"--data_dir={shell.state}: has no token.key" in shell.refused("token", "admin")
    assert sorted(path.name for path in shell.folder.iterdir()) == ["plugins"]


def test_lists_accounts_without_their_keys(shell: Shell) -> None:
    shell.put("roles.yml", ROLE)
    shell.run("account", "add", "kim", "--roles=reader,admin")
    shell.run("account", "rotate", "kim")
    place = shell.put("more.yml", "- {username: ann, role: admin}\n")
    DataDir(shell.state).write_private("admin.token", "t")

    assert shell.run("account", "list").out.splitlines() == [
        f"admin roles=admin keys=0 {shell.state}/admin.token",
        f"ann roles=admin keys=0 {place}",
        f"kim roles=reader,admin keys=2 {shell.plugins}/accounts/kim.yml",
    ]
    listed = json.loads(shell.run("account", "list", "--json").out)
    assert [row["username"] for row in listed] == ["admin", "ann", "kim"]


def test_removes_an_account_with_the_file_that_add_made(shell: Shell) -> None:
    shell.run("account", "add", "kim", "--roles=admin")

    assert shell.run("account", "remove", "kim").status == 0
    assert list((shell.plugins / "accounts").iterdir()) == []
    assert "no account is named 'kim'" in shell.refused("account", "remove", "kim")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "# ours\n- username: a # first\n  role: admin\n\n- username: kim\n  role: admin # x\n",
            "# ours\n- username: a # first\n  role: admin\n\n",
        ),
        (
            "- username: kim\n  role: admin\n# next\n-   username: b\n    role: admin\n",
            "# next\n-   username: b\n    role: admin\n",
        ),
        (
            "-\n  username: a\n  role: admin\n- {username: kim,\n   role: admin}\n- username: b\n"
            "  role: admin",
            "-\n  username: a\n  role: admin\n- username: b\n  role: admin",
        ),
        (
            "[{username: kim, role: admin}, {username: b, role: admin}]\n",
            "[{username: b, role: admin}]\n",
        ),
        (
            "[{username: a, role: admin}, {username: kim, role: admin}]\n",
            "[{username: a, role: admin}]\n",
        ),
    ],
)
def test_a_removal_changes_nothing_else(shell: Shell, text: str, left: str) -> None:
    place = shell.put("accounts.yml", text)

    assert shell.run("account", "remove", "kim").out.startswith(f"changed {place}\n")
    assert place.read_text() == left
    assert shell.run("check").status == 0


def digests(shell: Shell) -> tuple[str | None, str | None]:
    """Of the key and of the one before, as a start would load them."""
    [entry] = Document("kim.yml", (shell.plugins / "accounts/kim.yml").read_text()).value
    return entry.get("api_key_hash"), entry.get("previous_api_key_hash")


def key_of(output: str) -> str:
    return str(re.findall(r"qml_[A-Za-z0-9_-]{43}", output)[0])


def test_a_rotation_keeps_the_key_before_until_it_is_retired(shell: Shell) -> None:
    first = key_of(shell.run("account", "add", "kim", "--roles=admin").out)
    second = key_of(shell.run("account", "rotate", "kim").out)
    assert digests(shell) == (apikey.digest(second), apikey.digest(first))

    third = key_of(shell.run("account", "rotate", "kim").out)
    assert digests(shell) == (apikey.digest(third), apikey.digest(second))

    assert shell.run("account", "retire", "kim").status == 0
    assert digests(shell) == (apikey.digest(third), None)
    assert "has no previous key" in shell.refused("account", "retire", "kim")
    assert shell.run("check").status == 0


@pytest.mark.parametrize(
    ("text", "with_key"),
    [
        ("- {username: kim, role: admin}\n", "- {username: kim, api_key_hash: X, role: admin}\n"),
        (
            "# ours\n- username: a\n  role: admin\n\n-   username: kim # she\n    role: admin\n",
            "# ours\n- username: a\n  role: admin\n\n"
            "-   username: kim\n    api_key_hash: X # she\n    role: admin\n",
        ),
    ],
)
def test_a_rotation_changes_nothing_else(shell: Shell, text: str, with_key: str) -> None:
    place = shell.put("accounts/kim.yml", text)
    key = key_of(shell.run("account", "rotate", "kim").out)
    assert place.read_text() == with_key.replace("X", apikey.digest(key))

    shell.run("account", "rotate", "kim")
    shell.run("account", "retire", "kim")
    known = re.sub("sha256:[0-9a-f]+", "X", place.read_text())
    assert known == with_key
