"""JSON between our own processes: strict both ways, one encoder and one decoder made once."""

import json
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]
from typing import Any, NoReturn


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_strict = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
# `_strict.encode` makes one of these for each value, which is a quarter of its price. This one
# looks for no circles: they end in RecursionError.
_pieces = c_make_encoder(
    None,
    _strict.default,
    encode_basestring,
    None,
    _strict.key_separator,
    _strict.item_separator,
    _strict.sort_keys,
    _strict.skipkeys,
    _strict.allow_nan,
)
_decoder = json.JSONDecoder(parse_constant=_refuse)


def write(value: object) -> str:
    """Compact JSON; raises TypeError, ValueError or RecursionError for what JSON cannot hold."""
    return "".join(_pieces(value, 0))


def read(raw: bytes) -> Any:
    """The value of UTF-8 JSON; raises ValueError or RecursionError. NaN and Infinity are none."""
    return _decoder.decode(raw.decode())
