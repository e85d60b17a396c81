"""`config seal`, `config show`: secrets stay secret, and the rest of the file as it was."""

import os
from pathlib import Path

import pytest

from qmonus_lite.auth.sealing import Sealer
from qmonus_lite.catalog.document import Document, Env, Sealed
from qmonus_lite.datadir import DataDir
from tests.unit.cli.conftest import Shell

CONFIG = """\
# For the outer gate.
name: outer   # as scripts ask for it
values:
    region: ap-northeast-1
    login:
        user: kim      # not secret
        password: "s3cret" # secret
    ports: [80, 8080]
    debug: false
    home: !env HOME
"""


@pytest.fixture
def file(shell: Shell) -> Path:
    return shell.put("outer.yml", CONFIG)


def values(file: Path) -> dict[str, object]:
    found: dict[str, object] = Document(str(file), file.read_text()).value["values"]
    return found


def opened(shell: Shell, sealed: object, location: str) -> str:
    assert isinstance(sealed, Sealed)
    return Sealer(key=DataDir(shell.state).key("config.key")).open(sealed.text, location=location)


def test_seals_the_values_named_and_keeps_all_else(shell: Shell, file: Path) -> None:
    ended = shell.run("config", "seal", str(file), "login.password")

    assert ended.out == f"{file}: sealed 1 value(s)\n"
    lines, before = file.read_text().splitlines(), CONFIG.splitlines()
    assert lines[:6] + lines[7:] == before[:6] + before[7:]
    assert lines[6].startswith("        password: !sealed v1.")
    assert lines[6].endswith(" # secret")


def test_what_was_sealed_opens_at_its_place(shell: Shell, file: Path) -> None:
    shell.run("config", "seal", str(file), "login.password", "ports.1")
    document = Document(str(file), file.read_text()).value["values"]

    assert opened(shell, document["login"]["password"], "outer.yml|login.password") == "s3cret"
    assert opened(shell, document["ports"][1], "outer.yml|ports.1") == "8080"
    assert document["ports"][0] == 80
    assert shell.run("check").status == 0


def test_seals_every_text_and_number_when_none_is_named(shell: Shell, file: Path) -> None:
    assert "sealed 5 value(s)" in shell.run("config", "seal", str(file)).out
    found = values(file)

    assert isinstance(found["region"], Sealed)
    assert found["debug"] is False
    assert found["home"] == Env("HOME")
    assert "sealed 0 value(s)" in shell.run("config", "seal", str(file)).out


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_the_file_keeps_its_mode(shell: Shell, file: Path, mode: int) -> None:
    file.chmod(mode)
    shell.run("config", "seal", str(file), "region")

    assert file.stat().st_mode & 0o7777 == mode
    assert os.listdir(file.parent) == ["outer.yml"]


def test_a_linked_file_stays_a_link(shell: Shell, file: Path) -> None:
    real = file.rename(shell.folder / "outer.yml")
    file.symlink_to(real)
    shell.run("config", "seal", str(file), "region")

    assert file.is_symlink()
    assert isinstance(values(real)["region"], Sealed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "config: expected 'seal FILE [KEY ...]', 'show NAME' or 'rotate'"),
        (("seal",), "config: expected 'seal FILE"),
        (("show",), "config: expected 'seal FILE"),
        (("open", "x"), "config: expected 'seal FILE"),
        (("seal", "missing.yml"), "missing.yml: cannot be read"),
        (
            ("seal", "plugins/outer.yml", "login"),
            "plugins/outer.yml: no plain value 'login' to seal",
        ),
        (("seal", "plugins/outer.yml", "home"), "plugins/outer.yml: no plain value 'home' to seal"),
        (("show", "inner"), "config show: no Config plugin is named 'inner'; there are: outer"),
    ],
)
@pytest.mark.usefixtures("file")
def test_says_what_it_expected(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    assert shell.refused("config", *arguments).startswith(message)
    assert (shell.plugins / "outer.yml").read_text() == CONFIG


@pytest.mark.parametrize("text", ["x: 1\n", "- values: 1\n", "a: [\n", ""])
def test_refuses_what_is_no_config(shell: Shell, text: str) -> None:
    file = shell.put("outer.yml", text)

    assert str(file) in shell.refused("config", "seal", str(file))
    assert file.read_text() == text


def test_shows_a_config_with_its_secrets_masked(shell: Shell, file: Path) -> None:
    shell.run("config", "seal", str(file), "login.password")
    shown = shell.run("config", "show", "outer").out

    assert "s3cret" not in shown and "!sealed" not in shown
    assert "********" in shown
    assert "user: kim" in shown
    assert "!env HOME" in shown


def test_a_file_that_was_renamed_is_refused_without_its_secret(shell: Shell, file: Path) -> None:
    shell.run("config", "seal", str(file), "login.password")
    sealed = values(file)["login"]
    file.rename(file.with_name("other.yml"))
    output = shell.refused("config", "show", "outer")

    assert "login.password cannot be unsealed" in output
    assert "s3cret" not in output and str(sealed) not in output


def keys(shell: Shell) -> list[str]:
    return sorted(path.name for path in shell.state.glob("config.key*"))


def test_a_rotation_seals_all_anew_and_changes_nothing_else(shell: Shell, file: Path) -> None:
    shell.run("config", "seal", str(file), "login.password", "ports.1")
    before, text = (shell.state / "config.key").read_bytes(), file.read_text()
    other = shell.put("deeper/other.yml", "name: other\nvalues: {a: [1, x y]} # end\n")
    shell.run("config", "seal", str(other), "a.1")
    ended = shell.run("config", "rotate")

    assert ended.out == "sealed 3 value(s) with a new key; the old key is gone\n"
    assert (shell.state / "config.key").read_bytes() != before
    assert keys(shell) == ["config.key"]
    found = values(file)
    assert opened(shell, found["login"]["password"], "outer.yml|login.password") == "s3cret"  # type: ignore[index]
    assert opened(shell, values(other)["a"][1], "other.yml|a.1") == "x y"  # type: ignore[index]
    changed = [n for n, line in enumerate(text.splitlines()) if line not in file.read_text()]
    assert changed == [6, 7]
    assert file.read_text().splitlines()[6].endswith(" # secret")
    assert shell.run("check").status == 0


def test_a_rotation_that_was_broken_off_goes_on(
    shell: Shell, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shell.put("zother.yml", "name: other\nvalues: {a: x}\n")
    for path in (file, other):
        shell.run("config", "seal", str(path))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for victim in ("promote_key",):
        monkeypatch.setattr(DataDir, victim, killed)
    assert shell.run("config", "rotate").status == 130
    assert keys(shell) == ["config.key", "config.key.next"]
    assert shell.run("check").status == 0
    monkeypatch.undo()
    monkeypatch.chdir(shell.folder)

    assert shell.run("config", "rotate").out.startswith("sealed 0 value(s)")
    assert keys(shell) == ["config.key"]
    assert shell.run("check").status == 0


def test_a_rotation_is_refused_when_a_value_cannot_be_opened(shell: Shell, file: Path) -> None:
    shell.run("config", "seal", str(file))
    file.rename(file.with_name("moved.yml"))

    assert "cannot be unsealed" in shell.refused("config", "rotate")
    assert (shell.state / "config.key").exists()
