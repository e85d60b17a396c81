"""What the error of a system call means: whose fault it is, and what the client is told.

One table (`RULES`) for every error number that open, mkdir, write, fsync, rename, link, stat,
unlink, statvfs and ioctl give on Linux; an error that it does not name is a failing disk.
"""

import errno
import logging
import time
from dataclasses import dataclass
from enum import Enum

from qmonus_lite.errors import (
    BadRequest,
    Conflict,
    DiskError,
    Forbidden,
    InsufficientStorage,
    InternalFault,
    Problem,
    TooLarge,
    Unavailable,
)
from qmonus_lite.uploads.record import UploadRecord

logger = logging.getLogger(__name__)

#: Seconds between two records of refusals of one kind, which any client can cause.
LOG_INTERVAL_SECONDS = 10.0


class ErrorPlace(Enum):
    """What a system call was about."""

    TARGET = "the folder that the client names"
    STAGED = "a staged file"
    STAGING = "the staging directory"
    SYNC = "a sync"


EVERYWHERE = tuple(ErrorPlace)


@dataclass(frozen=True, kw_only=True)
class DiskOperation:
    """What is being done when a system call fails."""

    #: As the log says it.
    name: str
    where: ErrorPlace
    #: What is added to the answer when the disk failed: what is known of the file.
    outcome: str = "nothing was stored"


LOOKING = DiskOperation(name="looking at a path", where=ErrorPlace.TARGET)
MEASURING = DiskOperation(name="looking for free room", where=ErrorPlace.STAGED)
MAKING_STAGING = DiskOperation(name="making a staging directory", where=ErrorPlace.STAGING)
MAKING_STAGING_THERE = DiskOperation(
    name="making a staging directory there", where=ErrorPlace.TARGET
)
WRITING = DiskOperation(name="writing", where=ErrorPlace.STAGED)
SYNCING = DiskOperation(name="putting a file on stable storage", where=ErrorPlace.SYNC)
KEEPING_STAGED = DiskOperation(
    name="putting the name of a staged file on stable storage", where=ErrorPlace.SYNC
)
COPYING = DiskOperation(name="copying a staged file to another mount", where=ErrorPlace.STAGED)
FINDING = DiskOperation(name="finding the folder of a file", where=ErrorPlace.TARGET)
KEEPING_FOLDER = DiskOperation(
    name="putting the name of a folder on stable storage", where=ErrorPlace.SYNC
)
PLACING = DiskOperation(
    name="putting a file in place",
    where=ErrorPlace.TARGET,
    outcome="look whether the file is there before it is sent again",
)
KEEPING = DiskOperation(
    name="putting a name on stable storage",
    where=ErrorPlace.SYNC,
    outcome="the file is at its path, but a loss of power may undo that",
)
REMOVING = DiskOperation(name="removing a staged file", where=ErrorPlace.STAGED)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The answer to some error numbers."""

    codes: tuple[int, ...]
    where: tuple[ErrorPlace, ...]
    problem: type[Problem]
    detail: str
    #: Whether it counts as a failing disk, which makes the gateway unready.
    failing: bool = False


#: The first rule that has the number and the place counts.
RULES = (
    Rule(
        codes=(errno.ENOSPC, errno.EDQUOT),
        where=EVERYWHERE,
        problem=InsufficientStorage,
        detail="the disk is full",
    ),
    Rule(
        codes=(errno.EFBIG,),
        where=EVERYWHERE,
        problem=TooLarge,
        detail="the file system takes no file of this size",
    ),
    Rule(
        codes=(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS),
        where=EVERYWHERE,
        problem=Unavailable,
        detail="this machine is short of file descriptors or memory",
    ),
    Rule(
        codes=(errno.EAGAIN, errno.EINTR, errno.ENOLCK, errno.EDEADLK),
        where=EVERYWHERE,
        problem=Unavailable,
        detail="the file system is busy",
    ),
    Rule(
        codes=(errno.EMLINK,),
        where=(ErrorPlace.TARGET,),
        problem=InsufficientStorage,
        detail="the directory takes no further entry",
    ),
    Rule(
        codes=(errno.EACCES, errno.EPERM),
        where=(ErrorPlace.TARGET,),
        problem=Forbidden,
        detail="the server has no permission to store at this path",
    ),
    Rule(
        codes=(errno.EROFS,),
        where=(ErrorPlace.TARGET,),
        problem=Forbidden,
        detail="the file system at this path is read-only",
    ),
    Rule(
        codes=(errno.ENOKEY, errno.EOPNOTSUPP, errno.ENOSYS),
        where=(ErrorPlace.TARGET,),
        problem=Forbidden,
        detail="the file system at this path does not allow it (encrypted and locked, or without"
        " what storing takes)",
    ),
    Rule(
        codes=(errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ),
        where=(ErrorPlace.TARGET,),
        problem=BadRequest,
        detail="the file system at this path takes no such name (too long, or characters that it"
        " does not know)",
    ),
    Rule(
        codes=(
            errno.ENOENT,
            errno.ENOTDIR,
            errno.EISDIR,
            errno.EEXIST,
            errno.ENOTEMPTY,
            errno.ELOOP,
            errno.EBUSY,
            errno.ETXTBSY,
            errno.ESTALE,
        ),
        where=(ErrorPlace.TARGET,),
        problem=Conflict,
        detail="another file or directory is in the way, or went away during the upload",
    ),
    Rule(
        codes=(errno.EXDEV,),
        where=(ErrorPlace.TARGET,),
        problem=InternalFault,
        detail="the file could not be moved to the mount of its path",
    ),
    Rule(
        # The staging directory was removed, or mounted over; it is made again within a second.
        codes=(errno.ENOENT,),
        where=(ErrorPlace.STAGED,),
        problem=Unavailable,
        detail="the staging directory went away",
    ),
    Rule(
        codes=(
            errno.EIO,
            errno.EREMOTEIO,
            errno.EUCLEAN,
            errno.EBADMSG,
            errno.ENODATA,
            errno.ENXIO,
            errno.ENODEV,
            errno.ENOMEDIUM,
            errno.ENOTCONN,
            errno.ESHUTDOWN,
            errno.ECONNABORTED,
            errno.ETIMEDOUT,
            errno.EHOSTDOWN,
            errno.EHOSTUNREACH,
            errno.EBADF,
        ),
        where=EVERYWHERE,
        problem=InternalFault,
        detail="the disk failed",
        failing=True,
    ),
    Rule(
        codes=(
            errno.EACCES,
            errno.EPERM,
            errno.EROFS,
            errno.ENOKEY,
            errno.EOPNOTSUPP,
            errno.ENOSYS,
            errno.EINVAL,
            errno.ENOENT,
            errno.ENOTDIR,
            errno.EISDIR,
            errno.EEXIST,
            errno.ENOTEMPTY,
            errno.ENAMETOOLONG,
            errno.EILSEQ,
            errno.ELOOP,
            errno.EMLINK,
            errno.EBUSY,
            errno.ETXTBSY,
            errno.ESTALE,
            errno.EXDEV,
        ),
        where=(ErrorPlace.STAGED, ErrorPlace.STAGING, ErrorPlace.SYNC),
        problem=InternalFault,
        detail="the disk failed",
        failing=True,
    ),
)

#: For every number that no rule names.
UNKNOWN = Rule(
    codes=(), where=EVERYWHERE, problem=InternalFault, detail="the disk failed", failing=True
)

_BY_CALL = {
    (code, where): rule for rule in reversed(RULES) for code in rule.codes for where in rule.where
}


#: Names that have another one in some versions of Python.
_NAMES = {errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EDEADLK: "EDEADLK"}


def name_of(code: int | None) -> str:
    """The name of an error number, such as EIO."""
    number = code or 0
    return _NAMES.get(number) or errno.errorcode.get(number, "unknown")


def rule_of(code: int | None, where: ErrorPlace) -> Rule:
    """The rule for an error number at a place."""
    return _BY_CALL.get((code or 0, where), UNKNOWN)


def problem_of(error: OSError, action: DiskOperation) -> Problem:
    """What the client hears of an error; it carries what the log is to say."""
    rule = rule_of(error.errno, action.where)
    detail = rule.detail
    if issubclass(rule.problem, InternalFault) or action is KEEPING:
        detail = f"{detail}; {action.outcome}"
    problem = rule.problem(detail)
    problem.disk = DiskError(
        action=action.name,
        code=name_of(error.errno),
        said=error.strerror or str(error),
        failing=rule.failing,
    )
    return problem


class Seldom:
    """Lets one record of a kind through in a while, and counts those held back."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def warn(self, kind: str, message: str, **extra: object) -> None:
        """Log a warning, unless one of this kind was logged a moment ago."""
        now = time.monotonic()
        if now < self._next.get(kind, 0.0):
            self._held[kind] = self._held.get(kind, 0) + 1
            return
        self._next[kind] = now + LOG_INTERVAL_SECONDS
        held = self._held.pop(kind, 0)
        logger.warning(message, extra={**extra, "held_back": held})


_rate_limited_log = Seldom()


def log_disk_error(problem: Problem, record: UploadRecord, path: str, upload_id: str = "") -> None:
    """Log the system call behind a Problem; nothing for a Problem without one.

    Used where the request is known: disk threads and the keeper do not have its id.
    """
    disk = problem.disk
    if disk is None:
        return
    extra = {"path": path, "request_id": record.request_id}
    if upload_id:
        extra["upload_id"] = upload_id
    extra |= {"doing": disk.action, "errno": disk.code}
    message = f"{disk.action}: {disk.said}"
    if disk.failing:
        logger.error(message, extra={"action": "disk_failed", **extra})
    else:
        _rate_limited_log.warn(disk.code, message, action="disk_refused", **extra)
