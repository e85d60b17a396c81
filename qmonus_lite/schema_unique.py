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
        one = stack.pop()
        if isinstance(one, Mapping):
            ref = one.get("$ref", "#")
            if "uniqueItems" in one or (isinstance(ref, str) and not ref.startswith("#")):
                return True
            stack += one.values()
        elif isinstance(one, list):
            stack += one
    return False


def is_too_large(value: object) -> bool:
    """Whether the integers beyond 64 bits in a value exceed MAX_BITS in total."""
    left, stack = MAX_BITS, [value]
    while stack:
        one = stack.pop()
        if isinstance(one, int):
            if not _SMALLEST <= one <= _LARGEST:
                left -= one.bit_length()
                if left < 0:
                    return True
        elif isinstance(one, dict):
            stack += one.values()
        elif isinstance(one, list):
            stack += one
    return False
