"""The init process: forwards signals, reaps orphans, and exits with the status of the server."""

import os
import signal
import subprocess
import sys
from functools import cache

import pytest

from qmonus_lite.cli.init_process import fork_if_process_1
from tests.acceptance.process import TOP

NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

SERVER = """
import os, signal, subprocess, sys, time
from pathlib import Path
from qmonus_lite.cli.init_process import fork_if_process_1

fork_if_process_1()

def zombies():
    return [path for path in Path("/proc").glob("[0-9]*/stat") if ") Z " in path.read_text()]

"""

LEAVES_ORPHANS = """
for _ in range(5):
    # The shell ends at once, so the sleep becomes an orphan.
    subprocess.run(["sh", "-c", "sleep 0.2 & echo $!"], check=True)
end = time.monotonic() + 10
while len(list(Path("/proc").glob("[0-9]*"))) > 2 and time.monotonic() < end:
    time.sleep(0.05)
print(os.getpid() != 1, zombies(), subprocess.run(["sh", "-c", "exit 3"]).returncode)
"""

STOPS = """
numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
for number in numbers:
    os.kill(1, number)
    print(signal.sigwait(numbers).name)
sys.exit(7)
"""

DIES = "os.kill(os.getpid(), signal.SIGKILL)"


@cache
def no_namespaces() -> str:
    """Why no process namespace can be made here; empty if one can."""
    try:
        done = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as process 1 of a process namespace."""
    if reason := no_namespaces():
        pytest.skip(f"this machine makes no process namespace: {reason}")
    return subprocess.run(
        [*NAMESPACE, sys.executable, "-c", SERVER + script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=TOP,
    )


def test_reaps_orphans_and_leaves_children_to_the_server() -> None:
    done = run(LEAVES_ORPHANS)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "True [] 3"
    assert done.returncode == 0


def test_forwards_signals_and_exits_with_the_status_of_the_server() -> None:
    done = run(STOPS)
    assert (done.stdout, done.stderr) == ("SIGTERM\nSIGINT\nSIGHUP\n", "")
    assert done.returncode == 7


def test_a_killed_server_gives_the_status_of_its_signal() -> None:
    assert run(DIES).returncode == 128 + signal.SIGKILL


def test_elsewhere_there_is_no_init_process() -> None:
    before = os.getpid()
    fork_if_process_1()
    assert os.getpid() == before
