"""What the kernel tells of a process in /proc."""

import os
from contextlib import suppress
from pathlib import Path

from qmonus_lite.values import Value

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ProcessUsage(Value, frozen=True, kw_only=True):
    """Use of resources of a process."""

    #: In seconds since the epoch.
    start_time: float
    cpu_seconds: float
    resident_bytes: float
    threads: float
    open_fds: float
    #: Soft limit; infinity without one.
    max_fds: float


def started_at(pid: int) -> int:
    """When a process was started, in clock ticks after the boot; raises OSError."""
    return int(_status(pid)[19])


def usage(pid: int, started: int) -> ProcessUsage | None:
    """Usage of a process, None if it is gone or in another pid namespace."""
    try:
        fields = _status(pid)
        if int(fields[19]) != started:
            return None
        return ProcessUsage(
            start_time=_boot_time() + started / _TICKS,
            cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
            resident_bytes=float(int(fields[21]) * _PAGE_BYTES),
            threads=float(fields[17]),
            open_fds=float(len(os.listdir(f"/proc/{pid}/fd"))),
            max_fds=_max_fds(pid),
        )
    except OSError:
        return None


def _status(pid: int) -> list[str]:
    """Fields of proc_pid_stat(5) after the name of the program, which may have any characters."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _boot_time() -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def _max_fds(pid: int) -> float:
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max open files"):
            with suppress(ValueError):
                return float(line.split()[3])
    return float("inf")
