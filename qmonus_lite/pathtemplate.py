"""Path templates: `/v1/tenants/{tenant_id}/images/{filename}/file` against a raw request path.

A variable takes one segment; the variable named in `rest` takes what is left, slashes included.
Matching is done on the raw, still encoded path, so an encoded slash never becomes a separator.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from qmonus_lite.errors import BadRequest

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class BadTemplate(ValueError):
    """A template that cannot be used; the message says why and shows one that can."""


def decode(raw: str) -> str:
    """The text behind one percent-encoded path value, decoded exactly once.

    Raises BadRequest for a broken escape, for bytes that are not UTF-8 and for an encoded slash.
    """
    if _BAD_ESCAPE.search(raw):
        raise BadRequest("the path has a % that is not followed by two hexadecimal digits")
    if "%2f" in raw.lower():
        raise BadRequest("the path has an encoded slash (%2F); a name cannot hold a slash")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadRequest("the path is not UTF-8 after percent-decoding") from None


@dataclass(frozen=True, kw_only=True)
class PathTemplate:
    """A parsed template."""

    #: The template as written.
    text: str
    #: Names of its variables, in order.
    names: tuple[str, ...]
    #: The variable that takes slashes too, if any.
    rest: str | None
    _pattern: re.Pattern[str]

    @classmethod
    def parse(cls, text: str, *, rest: str | None = None) -> "PathTemplate":
        """Read a template; raises BadTemplate."""
        names = tuple(_VARIABLE.findall(text))
        _check(text, names)
        pieces = _VARIABLE.split(text)
        pattern = "".join(
            re.escape(piece) if index % 2 == 0 else _group(piece, rest)
            for index, piece in enumerate(pieces)
        )
        used = rest if rest in names else None
        return cls(text=text, names=names, rest=used, _pattern=re.compile(pattern))

    def match(self, raw_path: str) -> dict[str, str] | None:
        """The raw (still encoded) values by variable name, or None when the path is another."""
        found = self._pattern.fullmatch(raw_path)
        return found.groupdict() if found else None

    def fill(self, values: Mapping[str, str]) -> str:
        """The template with raw values in place of its variables; raises KeyError."""
        return _VARIABLE.sub(lambda found: values[found[1]], self.text)


def _group(name: str, rest: str | None) -> str:
    return f"(?P<{name}>.+)" if name == rest else f"(?P<{name}>[^/]+)"


def _check(text: str, names: tuple[str, ...]) -> None:
    if not text.startswith("/"):
        raise BadTemplate(f"{text!r} has to start with a slash, as in '/{text}'")
    # A request path is ASCII: what is beyond is percent-encoded there, and would match nothing.
    if leftover := re.search(r"[{}?#\s%]|[^\x21-\x7e]", _VARIABLE.sub("", text)):
        raise BadTemplate(
            f"{text!r} has {leftover[0]!r} outside a variable; variables look like {{name}}"
        )
    if "//" in text:
        raise BadTemplate(f"{text!r} has an empty segment ('//') and can match nothing")
    if doubled := [name for name in names if names.count(name) > 1]:
        raise BadTemplate(f"{text!r} names {{{doubled[0]}}} twice")
