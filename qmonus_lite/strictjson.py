"""JSON between our own processes: strict both ways, one encoder and one decoder made once."""

import json
from typing import Any, NoReturn


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_decoder = json.JSONDecoder(parse_constant=_refuse)


def write(value: object) -> str:
    """Compact JSON; raises TypeError, ValueError or RecursionError for what JSON cannot hold."""
    return _encoder.encode(value)


def read(raw: bytes) -> Any:
    """The value of UTF-8 JSON; raises ValueError or RecursionError. NaN and Infinity are none."""
    return _decoder.decode(raw.decode())
