"""Child side of the supervisor channel: readiness notification, heartbeat, parent-death pipe.

A supervisor that is killed cannot send a message. It holds the write end of the pipe that is our
standard input and never writes: EOF means that the supervisor has ended, for whatever reason.

The channel belongs to one process. Its environment variables are removed when read, so that
subprocesses neither send notifications nor watch the supervisor.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

#: Set for every child of a supervisor.
SUPERVISED = "QMONUS_LITE_SUPERVISED"
#: Index of this APIGW among several of one installation, from 0.
NUMBER = "QMONUS_LITE_NUMBER"
#: File descriptors of the listening sockets of the APIGWs, comma-separated.
LISTEN_FDS = "QMONUS_LITE_LISTEN_FDS"
#: File descriptor for the readiness notification (announce_listening), then heartbeats.
NOTIFY_FD = "QMONUS_LITE_NOTIFY_FD"

_STANDARD_INPUT = 0
_HEARTBEAT = b"."


class _NotifyPipe:
    """Write end of the notify pipe; unset until announce_listening."""

    descriptor: int | None = None

    def send(self, data: bytes) -> None:
        """Write, ignoring a closed pipe: `watch` handles the end of the supervisor."""
        if self.descriptor is None:
            return
        try:
            os.write(self.descriptor, data)
        except BlockingIOError:
            # The pipe is full because the supervisor does not read; a later heartbeat suffices.
            return
        except BrokenPipeError:
            os.close(self.descriptor)
            self.descriptor = None


_notify_pipe = _NotifyPipe()


def number() -> int | None:
    """Index of this APIGW among several; None for a single APIGW."""
    given = os.environ.pop(NUMBER, None)
    return None if given is None else int(given)


def listening_sockets() -> list[socket.socket]:
    """Listening sockets inherited from the supervisor; empty without a supervisor."""
    given = os.environ.pop(LISTEN_FDS, "")
    sockets = [socket.socket(fileno=int(number)) for number in given.split(",") if number]
    for listener in sockets:
        listener.set_inheritable(False)
    return sockets


def announce_listening() -> None:
    """Send the readiness notification to the supervisor; no-op without a supervisor."""
    number = os.environ.pop(NOTIFY_FD, None)
    if number is None:
        return
    _notify_pipe.descriptor = int(number)
    # Subprocesses must not keep the pipe open.
    os.set_inheritable(_notify_pipe.descriptor, False)
    os.set_blocking(_notify_pipe.descriptor, False)
    _notify_pipe.send(b"listening\n")


def heartbeat() -> None:
    """Send a heartbeat; the supervisor kills a process whose heartbeats stop."""
    _notify_pipe.send(_HEARTBEAT)


def watch(on_gone: Callable[[], None]) -> None:
    """Call `on_gone` when the supervisor ends; no-op without a supervisor.

    `on_gone` is called in a separate thread: use `call_soon_threadsafe` to reach an event loop.
    """
    if os.environ.pop(SUPERVISED, None) is None:
        return
    # A daemon thread, so that the exit of the interpreter does not wait for it.
    threading.Thread(target=_wait, args=(on_gone,), name="supervisor-watch", daemon=True).start()


def _wait(on_gone: Callable[[], None]) -> None:
    # Not sys.stdin: a daemon thread that holds its lock aborts the interpreter at exit.
    try:
        while os.read(_STANDARD_INPUT, 4096):
            pass
    except OSError as error:
        # E.g. a script closed it. EOF can no longer be detected: exit, to be restarted.
        extra = {"action": "supervisor_watch_failed"}
        logger.error("the supervisor cannot be watched: %s; ending", error, extra=extra)
    on_gone()
