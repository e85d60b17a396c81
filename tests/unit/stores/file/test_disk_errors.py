"""The table of error numbers, row by row: whose fault it is, and what counts as a failing disk."""

import errno
import os

import pytest

from qmonus_lite.errors import Conflict, Problem
from qmonus_lite.stores.file import disk_errors
from qmonus_lite.stores.file.disk_errors import (
    COPYING,
    FINDING,
    KEEPING,
    KEEPING_FOLDER,
    KEEPING_STAGED,
    LOOKING,
    MAKING_STAGING,
    MAKING_STAGING_THERE,
    MEASURING,
    PLACING,
    REMOVING,
    SYNCING,
    UNKNOWN,
    WRITING,
    DiskOperation,
    rule_of,
)
from qmonus_lite.stores.file.filesystem import UNFIT_FAILURES, Filesystem
from qmonus_lite.writer.messages import Failure, decode_reply, encode

#: What is done in the folder that a client names, to files of ours, and to be durable.
TARGET = (LOOKING, FINDING, PLACING, MAKING_STAGING_THERE)
STAGED = (MEASURING, WRITING, COPYING, REMOVING)
SYNC = (SYNCING, KEEPING_STAGED, KEEPING_FOLDER, KEEPING)
OURS = (*STAGED, MAKING_STAGING, *SYNC)
ALL = (*TARGET, *OURS)

#: Answer, and whether it counts towards readiness, as the contract wants it.
DECIDED = {
    (ALL, 507, False): "ENOSPC EDQUOT",
    (ALL, 413, False): "EFBIG",
    (ALL, 503, False): "EMFILE ENFILE ENOMEM ENOBUFS EAGAIN EINTR ENOLCK EDEADLK",
    (TARGET, 507, False): "EMLINK",
    (TARGET, 403, False): "EACCES EPERM EROFS ENOKEY EOPNOTSUPP ENOSYS",
    (TARGET, 400, False): "ENAMETOOLONG EINVAL EILSEQ",
    (TARGET, 409, False): ("ENOENT ENOTDIR EISDIR EEXIST ENOTEMPTY ELOOP EBUSY ETXTBSY ESTALE"),
    (TARGET, 500, False): "EXDEV",
    (STAGED, 503, False): "ENOENT",
    ((MAKING_STAGING, *SYNC), 500, True): "ENOENT",
    (ALL, 500, True): (
        "EIO EREMOTEIO EUCLEAN EBADMSG ENODATA ENXIO ENODEV ENOMEDIUM ENOTCONN ESHUTDOWN"
        " ECONNABORTED ETIMEDOUT EHOSTDOWN EHOSTUNREACH EBADF"
    ),
    (OURS, 500, True): (
        "EACCES EPERM EROFS ENOKEY EOPNOTSUPP ENOSYS EINVAL ENOTDIR EISDIR EEXIST ENOTEMPTY"
        " ENAMETOOLONG EILSEQ ELOOP EMLINK EBUSY ETXTBSY ESTALE EXDEV"
    ),
}
ROWS = [
    (name, action, status, failing)
    for (actions, status, failing), names in DECIDED.items()
    for name in names.split()
    for action in actions
]


def answered(code: int, action: DiskOperation) -> tuple[Problem, bool]:
    """The answer to an error, and whether such errors make the disk unfit."""
    disk = Filesystem()
    problems = [
        disk.answer(OSError(code, os.strerror(code)), action) for _ in range(UNFIT_FAILURES)
    ]
    return problems[0], disk.unfit


@pytest.mark.parametrize("action", ALL, ids=lambda action: action.name)
def test_every_row_is_answered_as_decided(action: DiskOperation) -> None:
    for name, where, status, failing in ROWS:
        if where is action:
            problem, unfit = answered(getattr(errno, name), action)
            assert (int(problem.status), unfit) == (status, failing), name


def test_every_number_of_the_manual_pages_is_decided_for_every_place() -> None:
    decided = {name for name, _, _, _ in ROWS}
    for name in decided:
        assert {action for row, action, _, _ in ROWS if row == name} == set(ALL), name
    ruled = {errno.errorcode[code] for rule in disk_errors.RULES for code in rule.codes}
    assert {getattr(errno, name) for name in decided} >= {getattr(errno, name) for name in ruled}


@pytest.mark.parametrize("code", [errno.ENOTTY, errno.EPROTO, 9999, None])
def test_a_number_that_nobody_decided_is_a_failing_disk(code: int | None) -> None:
    for action in ALL:
        assert rule_of(code, action.where) is UNKNOWN
    error = OSError("no number") if code is None else OSError(code, "x")
    assert int(Filesystem().answer(error, WRITING).status) == 500


def test_an_answer_says_nothing_was_stored_only_where_that_is_known() -> None:
    for action in ALL:
        detail = answered(errno.EIO, action)[0].detail
        assert ("nothing was stored" in detail) == (action not in {PLACING, KEEPING}), detail
    for code in (errno.EIO, errno.ENOSPC, errno.EMFILE):
        assert "is at its path" in answered(code, KEEPING)[0].detail


def test_the_failed_call_of_the_writer_process_is_known_to_the_apigw() -> None:
    problem = Filesystem().answer(OSError(errno.ENOENT, "gone"), PLACING)

    reply = decode_reply(memoryview(encode(Failure.of(1, problem))))

    assert isinstance(reply, Failure)
    assert isinstance(reply.problem(), Conflict)
    assert reply.problem().disk == problem.disk
