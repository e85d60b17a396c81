"""Limit on large integers under `uniqueItems`, against hash collisions.

The validator detects equal items by hash, and hashes integers beyond 64 bits as floats. Many
different integers then have the same hash, and comparison is quadratic: 22 s for 1 MB of them.
"""

from collections.abc import Mapping

#: Maximum total bits of the integers beyond 64 bits, where a schema has `uniqueItems`.
MAX_BITS = 16_384
#: Range of the integers that are hashed exactly.
_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1


def compares_items(document: object) -> bool:
    """Whether a schema has `uniqueItems`, or an external reference that may have it."""
    stack = [document]
    while stack:
        part = stack.pop()
        if isinstance(part, Mapping):
            ref = part.get("$ref", "#")
            if "uniqueItems" in part or (isinstance(ref, str) and not ref.startswith("#")):
                return True
            stack += part.values()
        elif isinstance(part, list):
            stack += part
    return False


def is_too_large(value: object) -> bool:
    """Whether the integers beyond 64 bits in a value exceed MAX_BITS in total."""
    left, stack = MAX_BITS, [value]
    while stack:
        part = stack.pop()
        if isinstance(part, int):
            if not _SMALLEST <= part <= _LARGEST:
                left -= part.bit_length()
                if left < 0:
                    return True
        elif isinstance(part, dict):
            stack += part.values()
        elif isinstance(part, list):
            stack += part
    return False
