"""Values that are made several times per request: immutable, and built in C.

To build a frozen dataclass takes a Python call and an assignment by name per field, in all ten to
twenty times as long (docs/decisions/libraries.md). All other values are frozen dataclasses.
"""

from typing import TypeVar

import msgspec
from msgspec import field as field


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of such values; each names `frozen=True, kw_only=True` again, for the type checker."""


V = TypeVar("V", bound=Value)


def changed(value: V, **changes: object) -> V:
    """A copy with other values in these fields."""
    return msgspec.structs.replace(value, **changes)
