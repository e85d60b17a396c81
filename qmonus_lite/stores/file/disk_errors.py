"""Mapping of errno values of system calls to Problems and responses.

One table (`RULES`) for every error number that open, mkdir, write, fsync, rename, link, stat,
unlink, statvfs and ioctl return on Linux; an error that is not in it counts as a failing disk.
"""

import errno
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
from qmonus_lite.values import Value


class FailedObject(Enum):
    """The object of a failed system call."""

    TARGET = "the folder that the client names"
    STAGED = "a staged file"
    STAGING = "the staging directory"
    SYNC = "a sync"


EVERYWHERE = tuple(FailedObject)


class DiskOperation(Value, frozen=True, kw_only=True):
    """The operation during which a system call failed."""

    #: Its name in log records.
    name: str
    where: FailedObject
    #: Added to the error detail when the disk failed: the known state of the file.
    outcome: str = "nothing was stored"


LOOKING = DiskOperation(name="looking at a path", where=FailedObject.TARGET)
MEASURING = DiskOperation(name="looking for free room", where=FailedObject.STAGED)
MAKING_STAGING = DiskOperation(name="making a staging directory", where=FailedObject.STAGING)
MAKING_STAGING_THERE = DiskOperation(
    name="making a staging directory there", where=FailedObject.TARGET
)
WRITING = DiskOperation(name="writing", where=FailedObject.STAGED)
SYNCING = DiskOperation(name="putting a file on stable storage", where=FailedObject.SYNC)
KEEPING_STAGED = DiskOperation(
    name="putting the name of a staged file on stable storage", where=FailedObject.SYNC
)
COPYING = DiskOperation(name="copying a staged file to another mount", where=FailedObject.STAGED)
FINDING = DiskOperation(name="finding the folder of a file", where=FailedObject.TARGET)
KEEPING_FOLDER = DiskOperation(
    name="putting the name of a folder on stable storage", where=FailedObject.SYNC
)
PLACING = DiskOperation(
    name="putting a file in place",
    where=FailedObject.TARGET,
    outcome="look whether the file is there before it is sent again",
)
KEEPING = DiskOperation(
    name="putting a name on stable storage",
    where=FailedObject.SYNC,
    outcome="the file is at its path, but a loss of power may undo that",
)
REMOVING = DiskOperation(name="removing a staged file", where=FailedObject.STAGED)


class DiskErrorRule(Value, frozen=True, kw_only=True):
    """The response to a set of error numbers."""

    codes: tuple[int, ...]
    where: tuple[FailedObject, ...]
    problem: type[Problem]
    detail: str
    #: Whether it counts as a disk failure, which can make the gateway unready.
    failing: bool = False


#: The first rule that matches the error number and the place applies.
RULES = (
    DiskErrorRule(
        codes=(errno.ENOSPC, errno.EDQUOT),
        where=EVERYWHERE,
        problem=InsufficientStorage,
        detail="the disk is full",
    ),
    DiskErrorRule(
        codes=(errno.EFBIG,),
        where=EVERYWHERE,
        problem=TooLarge,
        detail="the file system takes no file of this size",
    ),
    DiskErrorRule(
        codes=(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS),
        where=EVERYWHERE,
        problem=Unavailable,
        detail="this machine is short of file descriptors or memory",
    ),
    DiskErrorRule(
        codes=(errno.EAGAIN, errno.EINTR, errno.ENOLCK, errno.EDEADLK),
        where=EVERYWHERE,
        problem=Unavailable,
        detail="the file system is busy",
    ),
    DiskErrorRule(
        codes=(errno.EMLINK,),
        where=(FailedObject.TARGET,),
        problem=InsufficientStorage,
        detail="the directory takes no further entry",
    ),
    DiskErrorRule(
        codes=(errno.EACCES, errno.EPERM),
        where=(FailedObject.TARGET,),
        problem=Forbidden,
        detail="the server has no permission to store at this path",
    ),
    DiskErrorRule(
        codes=(errno.EROFS,),
        where=(FailedObject.TARGET,),
        problem=Forbidden,
        detail="the file system at this path is read-only",
    ),
    DiskErrorRule(
        codes=(errno.ENOKEY, errno.EOPNOTSUPP, errno.ENOSYS),
        where=(FailedObject.TARGET,),
        problem=Forbidden,
        detail="the file system at this path does not allow it (encrypted and locked, or without"
        " what storing takes)",
    ),
    DiskErrorRule(
        codes=(errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ),
        where=(FailedObject.TARGET,),
        problem=BadRequest,
        detail="the file system at this path takes no such name (too long, or characters that it"
        " does not know)",
    ),
    DiskErrorRule(
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
        where=(FailedObject.TARGET,),
        problem=Conflict,
        detail="another file or directory is in the way, or went away during the upload",
    ),
    DiskErrorRule(
        codes=(errno.EXDEV,),
        where=(FailedObject.TARGET,),
        problem=InternalFault,
        detail="the file could not be moved to the mount of its path",
    ),
    DiskErrorRule(
        # The staging directory was removed, or mounted over; it is recreated within a second.
        codes=(errno.ENOENT,),
        where=(FailedObject.STAGED,),
        problem=Unavailable,
        detail="the staging directory went away",
    ),
    DiskErrorRule(
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
    DiskErrorRule(
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
        where=(FailedObject.STAGED, FailedObject.STAGING, FailedObject.SYNC),
        problem=InternalFault,
        detail="the disk failed",
        failing=True,
    ),
)

#: For every error number without a rule.
UNKNOWN = DiskErrorRule(
    codes=(), where=EVERYWHERE, problem=InternalFault, detail="the disk failed", failing=True
)

_BY_CALL = {
    (code, where): rule for rule in reversed(RULES) for code in rule.codes for where in rule.where
}


#: Error numbers whose name in `errno.errorcode` differs between Python versions.
_NAMES = {errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EDEADLK: "EDEADLK"}


def name_of(code: int | None) -> str:
    """The symbolic name of an error number, such as EIO."""
    number = code or 0
    return _NAMES.get(number) or errno.errorcode.get(number, "unknown")


def rule_of(code: int | None, where: FailedObject) -> DiskErrorRule:
    """The rule for an error number at a place."""
    return _BY_CALL.get((code or 0, where), UNKNOWN)


def problem_of(error: OSError, action: DiskOperation) -> Problem:
    """The Problem to send for an error; its `disk` has the details for the log."""
    rule = rule_of(error.errno, action.where)
    detail = rule.detail
    if issubclass(rule.problem, InternalFault) or action is KEEPING:
        detail = f"{detail}; {action.outcome}"
    problem = rule.problem(detail)
    problem.disk = DiskError(
        action=action.name,
        code=name_of(error.errno),
        message=error.strerror or str(error),
        failing=rule.failing,
    )
    return problem
