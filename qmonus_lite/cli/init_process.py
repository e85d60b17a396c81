"""Process 1 of a container: a server command there runs as a child of a small init process.

Orphans become children of process 1, and stay zombies until it waits for them: what a script left
behind would fill the process table. asyncio waits only for its own children, and a script for
those that it started, so neither may wait for every child. The init process does nothing else.
"""

import os
import signal

#: Signals that the init process forwards to the server.
FORWARDED = frozenset(
    {
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
    }
)


def fork_if_process_1() -> None:
    """As process 1: fork, return in the child, and be its init process; otherwise do nothing.

    Call it before the first thread starts. The init process exits with the status of the child.
    """
    if os.getpid() != 1:
        return
    # Process 1 loses signals without a handler, but not blocked ones.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED | {signal.SIGCHLD})
    child = os.fork()
    if child:
        os._exit(_wait_for(child))
    # Its own process group: Ctrl-C of a terminal reaches only process 1, which forwards it once.
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_for(child: int) -> int:
    """Forward signals and reap orphans until the child exits; its status by shell convention."""
    while True:
        number = signal.sigwait(FORWARDED | {signal.SIGCHLD})
        if number in FORWARDED:
            os.kill(child, number)
        elif (status := _reap(child)) is not None:
            return status if status >= 0 else 128 - status


def _reap(child: int) -> int | None:
    """Wait for every process that has ended; the status of the child if that is among them."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return os.waitstatus_to_exitcode(status)
        if pid == 0:
            return None
