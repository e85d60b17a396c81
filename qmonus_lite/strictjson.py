"""Strict JSON encoding and decoding for internal use.

`write` takes any value, and raises for what is no JSON. `write_plain` is three times as fast, for
values that this package builds of JSON types alone: it writes NaN as null, and bytes as base64.
"""

import json
from typing import Any, NoReturn

import msgspec


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


# Without `check_circular`, which costs a fifth, circular references raise RecursionError.
_compact = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
)
_spaced = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False)
_decoder = json.JSONDecoder(parse_constant=_refuse)
_plain = msgspec.json.Encoder()


def write(value: object) -> str:
    """Compact JSON; raises TypeError, ValueError or RecursionError for unsupported values."""
    return _compact.encode(value)


def write_for_people(value: object) -> str:
    """JSON with spaces, for display; raises as `write`."""
    return _spaced.encode(value)


def write_plain(value: object) -> bytes:
    """Compact JSON in UTF-8 of None, bool, int, finite float, str, list and dict of str.

    Raises ValueError for text with lone surrogates.
    """
    return _plain.encode(value)


def write_plain_for_people(value: object) -> bytes:
    """JSON with spaces in UTF-8, of the same values, for display."""
    return msgspec.json.format(_plain.encode(value), indent=0)


def read(raw: bytes) -> Any:
    """Decode UTF-8 JSON; raises ValueError (also for NaN and Infinity) or RecursionError."""
    return _decoder.decode(raw.decode())
