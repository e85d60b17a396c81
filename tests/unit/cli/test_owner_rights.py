"""Commands that root runs beside a service of another user."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qmonus_lite import ownership
from qmonus_lite.datadir import DataDir
from qmonus_lite.errors import BadResource
from tests.unit.cli.conftest import Shell

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for other users")

#: A user without files and without rights.
SERVICE = ownership.Owner(uid=65534, gid=65534)


@pytest.fixture
def beside(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """A launch directory of the service's user, where that user can reach it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    os.chown(folder, SERVICE.uid, SERVICE.gid)
    monkeypatch.chdir(folder)
    yield Shell(folder, capsys)
    monkeypatch.undo()
    shutil.rmtree(folder)


def owners(folder: Path) -> set[int]:
    return {path.stat().st_uid for path in folder.rglob("*")}


def readable(path: Path) -> bool:
    with ownership.rights_of(SERVICE):
        return os.access(path, os.R_OK, effective_ids=True)


def test_what_root_makes_belongs_to_the_owner_of_the_directory(beside: Shell) -> None:
    assert beside.run("account", "add", "kim", "--roles=admin").status == 0
    sealed = beside.put("outer.yml", "name: outer\nvalues: {a: b}\n")
    os.chown(sealed, SERVICE.uid, SERVICE.gid)
    assert beside.run("config", "seal", str(sealed)).status == 0
    assert beside.run("account", "rotate", "kim").status == 0
    assert beside.run("config", "rotate").status == 0

    assert owners(beside.folder) == {SERVICE.uid}
    assert beside.run("check").status == 0
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_a_service_can_read_what_root_adds_to_a_plugin_folder_of_root(beside: Shell) -> None:
    with ownership.rights_of(SERVICE):
        DataDir(beside.state)
    beside.plugins.mkdir(mode=0o755)
    account = beside.plugins / "accounts" / "kim.yml"

    for command in (("add", "kim", "--roles=admin"), ("rotate", "kim"), ("retire", "kim")):
        assert beside.run("account", *command).status == 0
        status = account.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, SERVICE.gid, 0o640)
        assert readable(account)
    assert beside.run("check").status == 0
    assert beside.run("account", "remove", "kim").status == 0


def test_check_finds_what_the_service_cannot_read(beside: Shell) -> None:
    hidden = beside.put("hidden.yml", "name: hidden\nvalues: {a: b}\n")
    hidden.chmod(0o600)
    ended = beside.run("check")

    assert ended.status == 1
    assert "cannot be read: Permission denied" in ended.out


def test_a_refusal_says_with_whose_rights_the_command_ran(beside: Shell) -> None:
    ended = beside.run("token", "admin")

    assert ended.status == 2
    assert f"ran with the rights of nobody, who owns {beside.state}" in ended.err


def test_root_serves_from_no_data_directory_of_another_user(beside: Shell) -> None:
    with ownership.rights_of(SERVICE):
        DataDir(beside.state).open()

    with pytest.raises(BadResource, match="is used by nobody.*; run this as nobody"):
        DataDir(beside.state)
    assert owners(beside.folder) == {SERVICE.uid}


def test_root_may_serve_from_a_volume_of_another_user(beside: Shell) -> None:
    beside.state.mkdir()
    os.chown(beside.state, SERVICE.uid, SERVICE.gid)

    DataDir(beside.state).open()
    assert DataDir(beside.state).key("token.key")


def test_a_user_is_told_whose_directory_it_is(beside: Shell) -> None:
    DataDir(beside.state).key("token.key")
    with ownership.rights_of(SERVICE):
        with pytest.raises(BadResource, match="belongs to root, this runs as nobody: be that user"):
            DataDir(beside.state)
        assert "belongs to root" in beside.refused("check")


def test_without_the_right_to_change_users_root_is_told_which_to_be(
    beside: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_groups: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setgroups", denied)

    assert "has to run as nobody" in beside.refused("check")
