"""JSON of our own: strict both ways, encoders and decoder made once."""

import json
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]
from typing import Any, NoReturn


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _encoder(form: json.JSONEncoder) -> Any:
    """What `form.encode` makes anew for each value, which is a quarter of its price.

    It looks for no circles: they end in RecursionError.
    """
    return c_make_encoder(
        None,
        form.default,
        encode_basestring,
        None,
        form.key_separator,
        form.item_separator,
        form.sort_keys,
        form.skipkeys,
        form.allow_nan,
    )


_compact = _encoder(json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")))
_spaced = _encoder(json.JSONEncoder(ensure_ascii=False, allow_nan=False))
_decoder = json.JSONDecoder(parse_constant=_refuse)


def write(value: object) -> str:
    """Compact JSON; raises TypeError, ValueError or RecursionError for what JSON cannot hold."""
    return "".join(_compact(value, 0))


def write_for_people(value: object) -> str:
    """The same with spaces, for who reads it."""
    return "".join(_spaced(value, 0))


def read(raw: bytes) -> Any:
    """The value of UTF-8 JSON; raises ValueError or RecursionError. NaN and Infinity are none."""
    return _decoder.decode(raw.decode())
