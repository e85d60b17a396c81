"""A case-insensitive dict of HTTP header fields.

A subclass of dict, so it can be serialized as JSON. Names are stored in the canonical form of
Tornado, `X-Auth-Token`; the values of a repeated field are joined with commas.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar, overload

from qmonus_lite.surrogates import NO_CHARACTER, has_surrogates

D = TypeVar("D")


@lru_cache(maxsize=1000)
def canonical(name: str) -> str:
    """`X-Auth-Token` for `x-auth-token`."""
    return "-".join(word.capitalize() for word in name.split("-"))


def _key(name: object) -> Any:
    # Keys of other types are looked up unchanged, and are not found.
    return canonical(name) if isinstance(name, str) else name


class Headers(dict[str, str]):
    """A dict from header name to text with case-insensitive lookup."""

    def __init__(self, *given: Any, **more: str) -> None:
        super().__init__()
        self.update(*given, **more)

    @classmethod
    def combined(cls, fields: Iterable[tuple[str, str]]) -> "Headers":
        """Build from the fields of a message; values of a repeated name are joined by comma."""
        joined: dict[str, str] = {}
        for name, value in fields:
            key = canonical(name)
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
        # The names are canonical already, so __setitem__ is bypassed.
        headers = cls.__new__(cls)
        dict.update(headers, joined)
        return headers

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(_key(name))

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(_key(name), value)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(_key(name))

    def __contains__(self, name: object) -> bool:
        return super().__contains__(_key(name))

    @overload
    def get(self, name: str, default: None = None, /) -> str | None: ...
    @overload
    def get(self, name: str, default: str, /) -> str: ...
    @overload
    def get(self, name: str, default: D, /) -> str | D: ...
    def get(self, name: str, default: Any = None, /) -> Any:
        return super().get(_key(name), default)

    @overload
    def pop(self, name: str, /) -> str: ...
    @overload
    def pop(self, name: str, default: str, /) -> str: ...
    @overload
    def pop(self, name: str, default: D, /) -> str | D: ...
    def pop(self, name: str, /, *default: Any) -> Any:
        return super().pop(_key(name), *default)

    def setdefault(self, name: str, default: Any = None, /) -> Any:
        return super().setdefault(_key(name), default)

    def update(self, *given: Any, **more: str) -> None:
        named = dict(*given, **more)
        super().update({_key(name): value for name, value in named.items()})

    def copy(self) -> "Headers":
        return Headers(self)

    def __or__(self, other: Any) -> Any:
        return _joined(self, other)

    def __ror__(self, other: Any) -> Any:
        return _joined(other, self)

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self


def _joined(first: Any, second: Any) -> Any:
    if not isinstance(first, dict) or not isinstance(second, dict):
        return NotImplemented
    joined = Headers(first)
    joined.update(second)
    return joined


class BadFields(Exception):
    """Invalid header fields in the response of a script; the message contains the reason."""


_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]*")
#: Fields of message framing or of one connection (RFC 9110 sections 6.6 and 7.6.1), and fields that
#: APIGW sets itself.
_NOT_FROM_SCRIPTS = frozenset(
    {
        "Connection",
        "Content-Length",
        "Date",
        "Keep-Alive",
        "Proxy-Connection",
        "Server",
        "Te",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "X-Request-Id",
    }
)


def answer_fields(given: object) -> Headers:
    """Validate the response header fields given by a script; raises BadFields."""
    if given is None:
        return Headers()
    if not isinstance(given, Mapping):
        raise BadFields(f"headers is of type {type(given).__name__}; expected a dict")
    return Headers({_name(name): _value(name, value) for name, value in given.items()})


def _name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadFields(f"{name!r} is no name of a header")
    if canonical(name) in _NOT_FROM_SCRIPTS:
        raise BadFields(f"header {name} is set by the server, not by a script")
    return name


def _value(name: object, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        kind = type(value).__name__
        raise BadFields(f"header {name} is of type {kind}; expected text or a number")
    text = str(value).strip(" ")
    if has_surrogates(text):
        raise BadFields(f"header {name} is {text!r}; {NO_CHARACTER}")
    if not _VALUE.fullmatch(text):
        # Fields are handled as Latin-1, which passes UTF-8 through byte by byte.
        text = text.encode().decode("latin-1")
    if not _VALUE.fullmatch(text):
        raise BadFields(f"header {name} has a line break or another control character")
    return text
