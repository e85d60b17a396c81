"""The child's end of its ties to the supervisor: the word that it listens, its pulse, the cord.

A supervisor that is killed cannot say goodbye. It holds the writing end of the pipe that is our
standard input and never writes: when the pipe ends, the supervisor is gone, however that happened.

These ties are for one process. They leave the environment as they are taken up, so that what we
start in turn neither speaks for us nor waits for our supervisor.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

#: Set for every child of a supervisor.
SUPERVISED = "QMONUS_LITE_SUPERVISED"
#: Which of several APIGWs of one installation this is, from 0.
NUMBER = "QMONUS_LITE_NUMBER"
#: Numbers of the file descriptors of the sockets that they accept from, with commas.
LISTEN_FDS = "QMONUS_LITE_LISTEN_FDS"
#: Number of the file descriptor that takes the line of announce_listening, then the pulse.
NOTIFY_FD = "QMONUS_LITE_NOTIFY_FD"

_STANDARD_INPUT = 0
_HEARTBEAT = b"."


class _NotifyPipe:
    """Our end of the pipe that the supervisor listens at; closed until we announce."""

    descriptor: int | None = None

    def say(self, words: bytes) -> None:
        """Write, unless nobody listens any more: that is for `watch` to see and to act on."""
        if self.descriptor is None:
            return
        try:
            os.write(self.descriptor, words)
        except BlockingIOError:
            # The supervisor does not read: a later beat will do.
            return
        except BrokenPipeError:
            os.close(self.descriptor)
            self.descriptor = None


_notify_pipe = _NotifyPipe()


def number() -> int | None:
    """Which of several APIGWs this is; None for one that is alone."""
    given = os.environ.pop(NUMBER, None)
    return None if given is None else int(given)


def listening_sockets() -> list[socket.socket]:
    """The sockets that the supervisor listens on for us; none without one."""
    given = os.environ.pop(LISTEN_FDS, "")
    sockets = [socket.socket(fileno=int(one)) for one in given.split(",") if one]
    for one in sockets:
        one.set_inheritable(False)
    return sockets


def announce_listening() -> None:
    """Tell the supervisor that this process answers now; without a supervisor, do nothing."""
    number = os.environ.pop(NOTIFY_FD, None)
    if number is None:
        return
    _notify_pipe.descriptor = int(number)
    # What we start in turn must not keep the pipe open.
    os.set_inheritable(_notify_pipe.descriptor, False)
    os.set_blocking(_notify_pipe.descriptor, False)
    _notify_pipe.say(b"listening\n")


def heartbeat() -> None:
    """Tell the supervisor that the main loop turns; one that stops beating is taken for stuck."""
    _notify_pipe.say(_HEARTBEAT)


def watch(on_gone: Callable[[], None]) -> None:
    """Call `on_gone` once the supervisor is gone; without a supervisor, do nothing.

    `on_gone` is called in a thread of its own: a loop is reached by `call_soon_threadsafe`.
    """
    if os.environ.pop(SUPERVISED, None) is None:
        return
    # A daemon thread: a stop for any other reason does not wait for it.
    threading.Thread(target=_wait, args=(on_gone,), name="lifeline", daemon=True).start()


def _wait(on_gone: Callable[[], None]) -> None:
    # Not by sys.stdin: a daemon thread that holds its lock aborts the interpreter's exit.
    try:
        while os.read(_STANDARD_INPUT, 4096):
            pass
    except OSError as error:
        # Closed by a script, for one. Its end could not be seen any more: end, to be started again.
        extra = {"action": "lifeline_failed"}
        logger.error("the supervisor cannot be watched: %s; ending", error, extra=extra)
    on_gone()
