"""Limits that handlers of `APIGW.OnFileUploading` set for an upload, in `event["limits"]`."""

import enum
from typing import Any

from qmonus_lite.uploads.quota import Quota
from qmonus_lite.uploads.store import Condition
from qmonus_lite.values import Value

#: Name of the field of the event, and of its members.
FIELD, MAX_BYTES, IF_EXISTS = "limits", "max_bytes", "if_exists"


class BadLimits(ValueError):
    """Limits that are not clear; the message begins with the field."""


class IfExists(enum.StrEnum):
    """What becomes of an upload to a path where a file is."""

    REPLACE = "replace"
    #: It is refused (412).
    FAIL = "fail"
    #: It is stored beside it, as `name (2).ext`.
    RENAME = "rename"


class Limits(Value, frozen=True, kw_only=True):
    """Limits of one upload."""

    #: Most bytes; None is no limit beside `--max_upload_bytes`.
    max_bytes: int | None = None
    if_exists: IfExists = IfExists.REPLACE

    @classmethod
    def read(cls, given: Any) -> "Limits":
        """Read the field of an event; raises BadLimits for anything that is not clear."""
        if not isinstance(given, dict):
            raise BadLimits(f'event["{FIELD}"] is {_shown(given)}, not a dict')
        if unknown := given.keys() - {MAX_BYTES, IF_EXISTS}:
            names = ", ".join(sorted(map(repr, unknown)))
            raise BadLimits(f'event["{FIELD}"] has {names}; known: {MAX_BYTES}, {IF_EXISTS}')
        return cls(
            max_bytes=_max_bytes(given[MAX_BYTES]) if MAX_BYTES in given else None,
            if_exists=_if_exists(given[IF_EXISTS]) if IF_EXISTS in given else IfExists.REPLACE,
        )

    @property
    def renames(self) -> bool:
        """Whether the upload is stored under another name if a file is at its path."""
        return self.if_exists is IfExists.RENAME

    def quota(self, given: Quota) -> Quota:
        """The stricter of these limits and of those of the gateway."""
        if self.max_bytes is None:
            return given
        if given.max_bytes is not None and given.max_bytes <= self.max_bytes:
            return given
        return Quota(max_bytes=self.max_bytes)

    def condition(self, given: Condition) -> Condition:
        """The precondition of the client, together with `fail`."""
        if self.if_exists is not IfExists.FAIL:
            return given
        return Condition(absent=True, match=given.match)


#: Without limits of a handler.
NO_LIMITS = Limits()


def _max_bytes(value: object) -> int:
    # type() rather than isinstance(): bool is a subclass of int.
    if type(value) is not int or value < 0:
        where = f'event["{FIELD}"]["{MAX_BYTES}"]'
        raise BadLimits(f"{where} is {_shown(value)}, not a whole number from 0")
    return value


def _if_exists(value: Any) -> IfExists:
    try:
        return IfExists(value)
    except ValueError:
        where, choices = f'event["{FIELD}"]["{IF_EXISTS}"]', ", ".join(IfExists)
        raise BadLimits(f"{where} is {_shown(value)}, not one of {choices}") from None


def _shown(value: object) -> str:
    return f"{value!r:.40}"
