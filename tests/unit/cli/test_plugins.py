"""`check`."""

import io
import sys

import pytest

from qmonus_lite.cli.main import main
from tests.unit.catalog.plugin_folder import handler
from tests.unit.cli.conftest import Shell


def test_lists_a_sound_set(shell: Shell) -> None:
    place = shell.put("a.yml", handler("a"))
    ended = shell.run("check")

    assert ended.status == 0
    assert ended.out == f"{place}: Lambda a\n"
    assert ended.err == "1 plugin(s), no faults\n"


def test_prints_every_fault_and_ends_with_1(shell: Shell) -> None:
    bad = shell.put("a.yml", handler("a", line="return josn"))
    worse = shell.put("b.yml", "x: 1\n")
    ended = shell.run("check")

    assert ended.status == 1
    lines = ended.out.splitlines()
    assert lines[0].startswith(f"{bad}:5:14: ")
    assert lines[1:3] == ["    return josn", "           ^"]
    assert lines[3].startswith(f"{worse}:1:1: ")
    assert lines[4:6] == ["    x: 1", "    ^"]
    assert lines[6].startswith("2 fault(s)")


def test_prints_warnings_with_their_line_and_ends_with_0(shell: Shell) -> None:
    place = shell.put("a.yml", handler("a", "APIGW.OnFileUploading", "あ = 'い'; return 401"))
    ended = shell.run("check")

    assert ended.status == 0
    listed, warning, line, mark = ended.out.splitlines()
    assert listed == f"{place}: Lambda a"
    assert warning.startswith(f"{place}:5:16: warning[gate-return-value]: 'return 401' refuses")
    # Characters of Japanese take two columns of a terminal.
    assert (line, mark) == ("    あ = 'い'; return 401", "    " + " " * 11 + "^")
    assert ended.err == "1 plugin(s), no faults, 1 warning(s)\n"


def test_a_warning_ends_with_1_when_it_is_strict(shell: Shell) -> None:
    shell.put("a.yml", handler("a", "APIGW.OnFileUploading", "return 401"))

    assert shell.run("check", "--strict").status == 1
    assert shell.run("check", "--strict=true").status == 1
    assert shell.run("check", "--strict=false").status == 0
    assert shell.refused("check", "--strict=5") == "--strict=5: expected true or false"


def test_a_note_is_no_warning(shell: Shell) -> None:
    shell.put("a.yml", handler("a", "APIGW.OnFileUploading", "await handle.terminate(302)"))
    ended = shell.run("check", "--strict")

    assert ended.status == 0
    assert ": note[gate-3xx]: " in ended.out
    assert ended.err == "1 plugin(s), no faults\n"


def test_shows_no_line_of_a_file_that_may_hold_secrets(shell: Shell) -> None:
    shell.put("c.yml", 'name: c\nvalues:\n  secret: "hunter2\n')
    ended = shell.run("check")

    assert ended.status == 1
    assert "hunter2" not in ended.out + ended.err


def test_shows_a_part_of_a_long_line(shell: Shell) -> None:
    shell.put("a.yml", handler("a", line=f"x = '{'y' * 500}'; return josn"))
    _, line, mark, _ = shell.run("check").out.splitlines()

    assert line[mark.index("^") :] == "josn"
    assert len(line) <= 4 + 110


def test_refuses_a_folder_that_is_not_there(shell: Shell) -> None:
    assert shell.refused("check", "--plugins_base_dirs=plugins,missing") == (
        f"--plugins_base_dirs: missing: no folder at {shell.folder}/missing; make it first"
    )


def test_takes_no_positionals(shell: Shell) -> None:
    assert shell.refused("check", "a.yml").startswith("unexpected 'a.yml'")


def test_prints_names_that_the_terminal_has_no_characters_for(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = shell.put("a.yml", 'name: "\\ud83d\\ude00\\u3042"\nvalues: {}\n')
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    status = main(["check"])
    sys.stdout.flush()

    assert status == 0
    assert raw.getvalue() == f"{place}: Config \\U0001f600\\u3042\n".encode("ascii")
