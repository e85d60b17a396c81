"""Values: immutable objects of named fields, built in C.

To build a frozen dataclass takes a Python call and an assignment by name per field, in all ten to
twenty times as long, and to create the class at import takes thirty times as long
(docs/decisions/libraries.md). Dataclasses remain for objects that change, and for settings, whose
fields hold more than a default.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import field as field


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of such values; each names `frozen=True, kw_only=True` again, for the type checker."""


V = TypeVar("V", bound=Value)


def changed(value: V, **changes: object) -> V:
    """A copy with other values in these fields."""
    return msgspec.structs.replace(value, **changes)


def as_dict(value: Value) -> dict[str, Any]:
    """The fields by name; a value in a field stays a value."""
    return msgspec.structs.asdict(value)


def fields(kind: type[Value]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The declared fields, with name, type and default."""
    return msgspec.structs.fields(kind)
