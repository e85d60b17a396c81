"""Strict JSON parser for request bodies: rejects JSON that parsers interpret differently.

Rejected besides invalid JSON: duplicate names, NaN and numbers outside the range of a float, lone
surrogates, a byte-order mark, deep nesting, integers of thousands of digits.
"""

import json
import math
from email.message import Message
from typing import Any

from qmonus_lite.errors import UnsupportedMedia

#: Maximum nesting depth of arrays and objects.
MAX_DEPTH = 64


class BadJson(ValueError):
    """A body that is not usable as JSON; the text gives the reason without quoting the body."""


def check_media(content_type: str | None) -> None:
    """Raise UnsupportedMedia for a Content-Type other than JSON in UTF-8.

    A body without Content-Type is treated as JSON, since the route expects JSON.
    """
    if content_type is None:
        return
    head = Message()
    head["Content-Type"] = content_type
    kind, charset = head.get_content_type(), str(head.get_param("charset", "utf-8"))
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMedia("this route takes JSON: send Content-Type: application/json")
    if charset.lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMedia("this route takes JSON in UTF-8 only")


def read(body: bytes) -> object:
    """The parsed value of a body; raises BadJson."""
    try:
        value: object = json.loads(
            body.decode(),
            parse_constant=_no_constant,
            parse_float=_finite,
            object_pairs_hook=_once_each,
        )
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()
    except BadJson:
        raise
    except json.JSONDecodeError as error:
        raise BadJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise BadJson(f"byte {error.start + 1} is not UTF-8") from None
    except UnicodeEncodeError:
        raise BadJson("text with half of a surrogate pair") from None
    except RecursionError:
        raise BadJson("nested too deeply") from None
    except ValueError:
        raise BadJson("an integer with too many digits") from None
    # Cheap test first: a body with few brackets cannot be nested deeply.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    return value


def _no_constant(name: str) -> None:
    raise BadJson(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadJson("a number that is too large")
    return number


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("a name is given twice in one object")
    return found


def _check_depth(value: object) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise BadJson("nested too deeply")
        level = [
            part
            for container in level
            if isinstance(container, (dict, list))
            for part in (container.values() if isinstance(container, dict) else container)
            if isinstance(part, (dict, list))
        ]
