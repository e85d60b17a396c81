"""Who may have written a plugin file, and what is refused within bounded time."""

import os
import time
from pathlib import Path

import pytest

from tests.unit.catalog.plugin_folder import Folder, handler


def test_loads_what_only_this_user_and_root_may_write(folder: Folder) -> None:
    folder.put("a.yml", handler("a")).chmod(0o400)
    folder.put("b.yml", handler("b")).chmod(0o644)

    assert len(folder.load().listed) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file to another group takes root")
@pytest.mark.parametrize("mode", [0o664, 0o620])
def test_refuses_a_file_that_another_group_may_write(folder: Folder, mode: int) -> None:
    place = folder.put("a.yml", handler("a"))
    os.chown(place, -1, 12345)
    place.chmod(mode)

    assert folder.faults() == [
        f"a.yml:1:1: is writable for others (mode {mode:04o}); chmod go-w it"
    ]


def test_loads_a_file_that_the_private_group_of_its_owner_may_write(folder: Folder) -> None:
    place = folder.put("a.yml", handler("a"))
    if place.stat().st_gid != os.geteuid():
        pytest.skip("this user has no group of its own number")
    place.chmod(0o664)

    assert len(folder.load().listed) == 1


@pytest.mark.parametrize("mode", [0o646, 0o602])
def test_refuses_a_file_that_others_may_write(folder: Folder, mode: int) -> None:
    folder.put("a.yml", handler("a")).chmod(mode)

    assert folder.faults() == [
        f"a.yml:1:1: is writable for others (mode {mode:04o}); chmod go-w it"
    ]


@pytest.mark.parametrize("below", ["", "deeper"])
def test_refuses_a_folder_that_others_may_write(folder: Folder, below: str) -> None:
    place = folder.put("deeper/a.yml", handler("a")).parents[0 if below else 1]
    place.chmod(0o777)

    [fault] = folder.faults()
    assert fault.removeprefix(f"{folder.path}").startswith((":1:1: is writable", "deeper:1:1: is"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_refuses_a_file_of_another_user(folder: Folder) -> None:
    os.chown(folder.put("a.yml", handler("a")), 12345, -1)

    assert folder.faults() == [
        "a.yml:1:1: is owned by user 12345; only what user 0 or root owns is loaded"
    ]


def test_refuses_what_is_no_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder.path / "a.yml")
    # As if it had come between the look and the opening.
    monkeypatch.setattr(Path, "is_file", lambda _: True)

    assert folder.faults() == ["a.yml:1:1: is no regular file"]


def test_a_change_of_mode_is_noticed(folder: Folder) -> None:
    place = folder.put("a.yml", handler("a"))
    before = folder.loader.stamp()
    place.chmod(0o666)

    assert folder.loader.stamp() != before


HOSTILE = {
    "values": "a: [" + "1," * 120_000 + "1]",
    "merges": "a: {" + "<<: {}," * 30_000 + "}",
    "colons": ": " * 120_000,
    "dashes": "- " * 120_000,
    "brackets": "[" * 20_000,
    "braces": "{" * 300,
    "indents": "".join(" " * n + "a:\n" for n in range(700)),
    "stars": "a: &x 1\nb: [" + "*x," * 80_000,
    "digits": "a: " + "9" * 200_000,
    "words": "name: a\nevent: E\nscript: |-\n  async def f(event, handle):\n"
    + "".join(f"    x = name{n}\n" for n in range(8_000)),
    "minus": handler("a", line="x = " + "-" * 200_000 + "1"),
    "parentheses": handler("a", line="x = " + "(" * 20_000),
    "attributes": handler("a", line="x = event" + ".a" * 100_000),
    "sums": handler("a", line="x = 1" + "+1" * 100_000),
    "pattern": "- name: r\n  authorities: [{regex: '" + "(a{1000}){1000}" + "', methods: [GET]}]\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_its_place_and_soon(folder: Folder, name: str) -> None:
    folder.put("a.yml", HOSTILE[name])
    began = time.process_time()

    faults = folder.faults()

    took = time.process_time() - began
    assert faults
    assert all(fault.startswith("a.yml:") for fault in faults)
    # Most of them take some milliseconds; the bound is for a busy machine.
    assert took < 5, took
