"""The child's end of its ties to the supervisor."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from qmonus_lite import supervisor_channel

# A child that watches: it says so, and then what it saw.
WATCHER = """
import os, time
from qmonus_lite import supervisor_channel
supervisor_channel.watch(lambda: (print("gone", flush=True), os._exit(0)))
print("SUPERVISED" if "QMONUS_LITE_SUPERVISED" in os.environ else "watching", flush=True)
"""
STAYS = WATCHER + "time.sleep(30)"


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where the supervisor hears; the other end is announced in the environment."""
    reading, writing = os.pipe()
    monkeypatch.setenv("QMONUS_LITE_NOTIFY_FD", str(writing))
    yield reading
    os.close(reading)


def start(script: str, *, supervised: bool = True) -> subprocess.Popen[str]:
    environment = os.environ | ({"QMONUS_LITE_SUPERVISED": "1"} if supervised else {})
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )


def first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_takes_up_its_number_and_sockets_once(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    place = listening.getsockname()
    monkeypatch.setenv("QMONUS_LITE_NUMBER", "3")
    monkeypatch.setenv("QMONUS_LITE_LISTEN_FDS", str(listening.detach()))

    assert supervisor_channel.number() == 3
    [taken] = supervisor_channel.listening_sockets()
    with taken:
        assert taken.getsockname() == place
        assert not taken.get_inheritable()
    assert supervisor_channel.number() is None
    assert supervisor_channel.listening_sockets() == []


def test_sends_the_readiness_notification_and_then_heartbeats(notices: int) -> None:
    supervisor_channel.announce_listening()
    supervisor_channel.heartbeat()

    assert os.read(notices, 64) == b"listening\n."


def test_announces_only_once_and_not_for_what_it_starts(notices: int) -> None:
    supervisor_channel.announce_listening()
    supervisor_channel.announce_listening()

    assert "QMONUS_LITE_NOTIFY_FD" not in os.environ


def test_announces_nothing_without_a_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QMONUS_LITE_NOTIFY_FD", raising=False)

    supervisor_channel.announce_listening()


def test_announcing_to_a_supervisor_that_is_gone_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setenv("QMONUS_LITE_NOTIFY_FD", str(writing))

    supervisor_channel.announce_listening()


def test_sees_that_the_supervisor_is_gone_at_the_end_of_standard_input() -> None:
    with start(STAYS) as child:
        assert first_line(child) == "watching"

        output, errors = child.communicate(timeout=10)

    assert (output.strip(), errors) == ("gone", "")


def test_takes_a_standard_input_that_cannot_be_read_for_the_end_of_the_supervisor() -> None:
    with start("import os; os.close(0)\n" + STAYS) as child:
        output, errors = child.communicate(timeout=10)

    # The two threads print at the same time.
    assert "gone" in output
    assert errors == "the supervisor cannot be watched: [Errno 9] Bad file descriptor; ending\n"


def test_goes_on_while_the_supervisor_lives() -> None:
    with start(STAYS) as child:
        assert first_line(child) == "watching"

        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=0.3)
        child.kill()


def test_ends_on_its_own_while_the_supervisor_lives() -> None:
    with start(WATCHER) as child:
        assert child.wait(timeout=10) == 0

        output, errors = child.communicate()

    assert (output.strip(), errors) == ("watching", "")


def test_does_not_mind_its_standard_input_without_a_supervisor() -> None:
    with start(WATCHER + "time.sleep(0.3)", supervised=False) as child:
        output, errors = child.communicate(timeout=10)

    assert (output.strip(), errors) == ("watching", "")
