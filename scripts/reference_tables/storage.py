"""Tables of disk errors and of the states of an upload."""

from collections.abc import Sequence

from qmonus_lite.stores.file import disk_errors
from qmonus_lite.uploads.lifecycle import TRANSITIONS, UploadState, UploadTransition
from reference_tables.markdown import code, table


def disk() -> str:
    """What each error of the disk becomes: the table that the code goes by."""
    rows = (*disk_errors.RULES, disk_errors.UNKNOWN)
    return table(
        ("error", "of", "answer", "counts towards readiness"),
        (
            (
                ", ".join(code(disk_errors.name_of(number)) for number in rule.codes)
                or "any other",
                _places(rule.where),
                f"{int(rule.problem.status)} {rule.detail}",
                "yes" if rule.failing else "no",
            )
            for rule in rows
        ),
    )


def lifecycle() -> str:
    """What can become of an upload: one row a state, one column a transition."""
    return table(
        ("state", *UploadTransition),
        (
            (
                f"**{state}**",
                *(TRANSITIONS.get((state, transition), "") for transition in UploadTransition),
            )
            for state in UploadState
        ),
    )


def _places(where: Sequence[disk_errors.FailedObject]) -> str:
    if set(where) == set(disk_errors.FailedObject):
        return "anything"
    return ", ".join(location.value for location in where)
