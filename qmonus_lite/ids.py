"""Identifiers of uploads, events and requests: UUIDv7, sortable by time.

Layout: RFC 9562, section 5.7 (48 bits of Unix milliseconds, then random bits).
"""

import random
import time

#: Seeded by the operating system. Ids must be unique; they are not secrets.
_random = random.Random()


def new_id() -> str:
    """A new UUIDv7 in its text form, 36 characters."""
    millis = time.time_ns() // 1_000_000
    value = (millis & (1 << 48) - 1) << 80 | _random.getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
