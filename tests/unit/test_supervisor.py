"""The supervisor, as a process of its own with small real children."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from qmonus_lite.supervisor import (
    MAX_DELAY_SECONDS,
    MIN_DELAY_SECONDS,
    STABLE_AFTER_SECONDS,
    delay_after,
)

# Runs supervise on the children given as JSON; its log is one line an action.
SUPERVISOR = """
import asyncio, json, logging, sys
from qmonus_lite import supervisor
from qmonus_lite.child_process import Child
from qmonus_lite.supervisor import supervise
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter(
    "%(action)s %(child)s %(status)s", defaults={"action": "?", "child": "-", "status": "-"}
))
logging.basicConfig(level="INFO", handlers=[handler])
supervisor.GRACE = 0.3
children = [Child(name=name, argv=tuple(argv)) for name, argv in json.loads(sys.argv[1])]
sys.exit(asyncio.run(supervise(children[0], children[1:], drain_timeout=float(sys.argv[2]))))
"""

# The start of every child: note(word) adds a line to the file that the test reads.
CHILD = """
import os, signal, sys, time
from qmonus_lite import supervisor_channel
def note(word):
    with open(sys.argv[1], "a") as file:
        file.write(word + "\\n")
def drain(*_):
    note("drained")
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
supervisor_channel.watch(lambda: (note("orphan"), os._exit(3)))
"""
LISTENS = "supervisor_channel.announce_listening(); note('listens'); time.sleep(30)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" + LISTENS


class Up:
    """A supervisor process, its log, and what its children noted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *scripts: str, drain_timeout: float = 5) -> None:
        """Start the supervisor; its children are called 0, 1, ... as their scripts come."""
        python = [sys.executable, "-c"]
        children = [
            (str(n), [*python, CHILD + script, str(self._folder / str(n))])
            for n, script in enumerate(scripts)
        ]
        self.start_argv(children, drain_timeout)

    def start_argv(self, children: list[tuple[str, list[str]]], drain_timeout: float = 5) -> None:
        command = [sys.executable, "-c", SUPERVISOR, json.dumps(children), str(drain_timeout)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stderr=log, start_new_session=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> list[str]:
        return self._log.read_text().splitlines()

    def notes(self, child: int) -> list[str]:
        with suppress(FileNotFoundError):
            return (self._folder / str(child)).read_text().split()
        return []

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 15
        while not condition():
            assert time.monotonic() < end, self.log
            time.sleep(0.02)

    def until_noted(self, child: int, *lines: str) -> None:
        self.until(lambda: self.notes(child) == list(lines))

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(timeout=15)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path)
    yield up
    # The children read EOF from the parent-death pipe.
    up.kill()


def test_doubles_the_delay_up_to_a_limit() -> None:
    delays = [0.0]
    for _ in range(8):
        delays.append(delay_after(delays[-1], uptime=1))

    assert delays[1:4] == [MIN_DELAY_SECONDS, 2 * MIN_DELAY_SECONDS, 4 * MIN_DELAY_SECONDS]
    assert delays[-1] == MAX_DELAY_SECONDS


def test_forgets_earlier_ends_of_a_child_that_lived_well() -> None:
    assert delay_after(MAX_DELAY_SECONDS, uptime=STABLE_AFTER_SECONDS) == MIN_DELAY_SECONDS


def test_starts_the_others_once_the_first_listens(up: Up) -> None:
    up.start("time.sleep(0.3);" + LISTENS, LISTENS)

    up.until_noted(1, "listens")

    assert up.log[:3] == ["child_started 0 -", "child_listening 0 -", "child_started 1 -"]


@pytest.mark.parametrize("status", [1, 2])
def test_gives_the_status_of_a_first_child_that_never_listens(up: Up, status: int) -> None:
    up.start(f"sys.exit({status})", LISTENS)

    assert up.wait() == status
    assert up.log == ["child_started 0 -", f"child_exited 0 {status}"]


def test_gives_the_status_of_a_shell_for_a_first_child_that_is_killed(up: Up) -> None:
    up.start("os.kill(os.getpid(), signal.SIGKILL)")

    assert up.wait() == 128 + signal.SIGKILL


def test_gives_the_status_of_a_shell_for_a_command_that_does_not_exist(up: Up) -> None:
    up.start_argv([("0", ["/does/not/exist"])])

    assert up.wait() == 127
    assert up.log[0] == "child_not_executed 0 -"


def test_stops_all_when_another_is_refused_at_its_first_start(up: Up) -> None:
    up.start(LISTENS, "sys.exit(2)", LISTENS)

    assert up.wait() == 2
    assert up.notes(0) == ["listens", "drained"]


def test_starts_again_one_of_the_others_that_fails_at_its_first_start(up: Up) -> None:
    up.start(LISTENS, "note('tried') if not os.path.exists(sys.argv[1]) else None; sys.exit(1)")

    up.until(lambda: up.log.count("child_started 1 -") > 2)
    assert up.notes(0) == ["listens"]


def test_starts_again_a_child_that_dies(up: Up) -> None:
    up.start(LISTENS, "supervisor_channel.announce_listening(); note('lives'); sys.exit(0)")

    up.until_noted(1, "lives", "lives", "lives")


def test_bears_it_that_there_is_no_descriptor_for_a_new_life(up: Up) -> None:
    up.start(LISTENS, "time.sleep(0.5)")
    up.until(lambda: "child_listening 0 -" in up.log and "child_started 1 -" in up.log)
    before = resource.prlimit(up.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(up.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    up.until(lambda: "child_not_executed 1 -" in up.log)
    resource.prlimit(up.pid, resource.RLIMIT_NOFILE, before)

    up.until(lambda: up.log.count("child_started 1 -") == 2)
    assert "child_exited 0 0" not in up.log


def test_goes_on_when_a_child_is_refused_at_a_later_start(up: Up) -> None:
    refused_later = "if os.path.exists(sys.argv[1]): note('refused'); sys.exit(2)\n"
    up.start(LISTENS, refused_later + "supervisor_channel.announce_listening(); note('lives')")

    up.until_noted(1, "lives", "refused", "refused")


def test_starts_again_a_first_child_that_is_killed(up: Up) -> None:
    up.start("note(str(os.getpid()));" + LISTENS)
    up.until(lambda: len(up.notes(0)) == 2)

    os.kill(int(up.notes(0)[0]), signal.SIGKILL)

    up.until(lambda: len(up.notes(0)) == 4)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drains_all_children_on_a_signal(up: Up, number: signal.Signals) -> None:
    up.start(LISTENS, LISTENS)
    up.until_noted(1, "listens")

    os.kill(up.pid, number)

    assert up.wait() == 0
    assert (up.notes(0), up.notes(1)) == (["listens", "drained"], ["listens", "drained"])


def test_passes_a_hangup_to_the_children_that_listen_and_goes_on(up: Up) -> None:
    reloads = "signal.signal(signal.SIGHUP, lambda *_: note('reloaded'));"
    up.start(reloads + LISTENS + "; time.sleep(30)", reloads + LISTENS + "; time.sleep(30)")
    up.until_noted(1, "listens")
    os.kill(up.pid, signal.SIGHUP)
    for child in (0, 1):
        up.until_noted(child, "listens", "reloaded")
    os.kill(up.pid, signal.SIGTERM)

    assert up.wait() == 0
    assert up.notes(0) == ["listens", "reloaded", "drained"]


def test_a_ctrl_c_in_the_terminal_reaches_the_children_as_sigterm_only(up: Up) -> None:
    up.start(LISTENS)
    up.until_noted(0, "listens")

    # As a terminal does: to the whole group in the foreground.
    os.killpg(up.pid, signal.SIGINT)

    assert up.wait() == 0
    assert up.notes(0) == ["listens", "drained"]


def test_a_stop_while_the_first_child_is_still_starting_is_clean(up: Up) -> None:
    up.start("note('starting'); signal.signal(signal.SIGTERM, signal.SIG_DFL); time.sleep(30)")
    up.until_noted(0, "starting")
    time.sleep(0.1)

    os.kill(up.pid, signal.SIGTERM)

    assert up.wait() == 0


def test_says_so_when_a_child_did_not_end_cleanly(up: Up) -> None:
    up.start("signal.signal(signal.SIGTERM, lambda *_: sys.exit(1));" + LISTENS, LISTENS)
    up.until_noted(1, "listens")

    os.kill(up.pid, signal.SIGTERM)

    assert up.wait() == 1
    assert up.notes(1) == ["listens", "drained"]


def test_kills_a_child_that_does_not_end_in_time(up: Up) -> None:
    up.start(LISTENS, DEAF, drain_timeout=0.3)
    up.until_noted(1, "listens")

    os.kill(up.pid, signal.SIGTERM)

    assert up.wait() == 1
    assert up.log[-2:] == ["child_killed 1 -", "child_exited 1 137"]


def test_kills_at_once_on_a_second_signal(up: Up) -> None:
    up.start(DEAF, drain_timeout=600)
    up.until_noted(0, "listens")

    os.kill(up.pid, signal.SIGTERM)
    up.until(lambda: "stop_asked - -" in up.log)
    os.kill(up.pid, signal.SIGTERM)

    assert up.wait() == 1
    assert "child_killed 0 -" in up.log


def test_stops_at_once_while_a_child_waits_for_its_next_start(up: Up) -> None:
    up.start(LISTENS, "supervisor_channel.announce_listening(); sys.exit(1)")
    up.until(lambda: up.log.count("child_exited 1 1") == 4)

    os.kill(up.pid, signal.SIGTERM)

    assert up.wait() == 1
    assert up.log[-1] == "child_exited 0 0"


def test_leaves_no_orphan_when_it_is_killed(up: Up) -> None:
    up.start(LISTENS, LISTENS)
    up.until_noted(1, "listens")

    up.kill()

    up.until_noted(0, "listens", "orphan")
    up.until_noted(1, "listens", "orphan")
