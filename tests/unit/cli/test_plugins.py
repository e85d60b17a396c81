"""`check`."""

import io
import sys

import pytest

from qmonus_lite.cli.main import main
from tests.unit.catalog.stage import handler
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
    assert lines[1].startswith(f"{worse}:1:1: ")
    assert lines[2].startswith("2 fault(s)")


def test_refuses_a_folder_that_is_not_there(shell: Shell) -> None:
    assert shell.refused("check", "--plugins_base_dirs=plugins,missing") == (
        f"--plugins_base_dirs: missing: no folder at {shell.folder}/missing; make it first"
    )


def test_takes_no_words(shell: Shell) -> None:
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
