"""Large integers under `uniqueItems`: how many there may be.

The validator finds equal items by a hash, for which integers beyond 64 bits are taken as floats. So
many that differ have the same hash, and each is then compared with each: 22 s for 1 MB of them.
"""

from collections.abc import Mapping

#: Bits that all integers beyond 64 bits may have together, where a schema has `uniqueItems`.
MAX_BITS = 16_384
#: Integers within are hashed exactly.
_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1


def compares_items(document: object) -> bool:
    """Whether a schema has `uniqueItems`, or a reference to one that may have it."""
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
    """Whether the integers beyond 64 bits in a value are too many to be compared."""
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
