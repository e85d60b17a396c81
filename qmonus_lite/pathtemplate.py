"""Path templates such as `/v1/tenants/{tenant_id}/images/{filename}/file`, matched to raw paths.

A variable matches within one segment; the variable named by `rest` matches the remainder of the
path, slashes included. Matching uses the raw, percent-encoded path, so an encoded slash never
becomes a separator.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cached_property
from urllib.parse import unquote_to_bytes

from qmonus_lite.control_characters import CONTROLS, DIRECTION_MARKS, SURROGATES
from qmonus_lite.errors import InvalidPath
from qmonus_lite.values import Value

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

#: Characters that no name of a file may have.
CONTROL = re.compile(f"[{CONTROLS}{SURROGATES}{DIRECTION_MARKS}]")

#: Path separators and dot segments as some servers interpret them: also encoded repeatedly, between
#: backslashes, or followed by parameters (`..;x`).
_SEPARATOR = r"(?:[/\\]|%(?:25)*(?:2f|5c))"
_DOT = r"(?:\.|%(?:25)*2e)"
_PARAMETERS = r"(?:(?:;|%(?:25)*3b)[^/\\]*?)?"
_STEP = re.compile(
    rf"(?:\A|{_SEPARATOR}){_DOT}{{1,2}}{_PARAMETERS}(?:{_SEPARATOR}|\Z)", re.IGNORECASE | re.DOTALL
)


class BadTemplate(ValueError):
    """An invalid template; the message contains the reason."""


def normalized(text: str) -> str:
    """Text in Unicode NFC, the form in which names are checked, compared and stored."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def decode(raw: str) -> str:
    """Percent-decode a path value exactly once, and normalize to NFC.

    Raises InvalidPath for an invalid escape, for bytes that are not UTF-8 and for an encoded slash.
    """
    return normalized(decode_as_written(raw))


def decode_as_written(raw: str) -> str:
    """Percent-decode without Unicode normalization, as a backend would; raises InvalidPath."""
    if "%" not in raw:
        return raw
    if _BAD_ESCAPE.search(raw):
        raise InvalidPath("the path has a % that is not followed by two hexadecimal digits")
    if "%2f" in raw.lower():
        raise InvalidPath("the path has an encoded slash (%2F); a name cannot hold a slash")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise InvalidPath("the path is not UTF-8 after percent-decoding") from None


def decode_variable(name: str, raw: str) -> str:
    """Decode the value of a variable once, in NFC; raises InvalidPath.

    The value must be safe inside another path (path traversal): dot segments such as `..` and
    control characters are rejected.
    """
    value = decode(raw)
    if CONTROL.search(value):
        raise InvalidPath(f"the path variable {name!r} has a control character or a direction mark")
    if _STEP.search(value):
        raise InvalidPath(f"the path variable {name!r} has a step ('.' or '..') in it")
    return value


class _Segment(Value, frozen=True, kw_only=True):
    """A segment of a template: literals, and the variables between them."""

    literals: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "_Segment":
        """Parse a segment of a template."""
        pieces = _VARIABLE.split(text)
        return cls(literals=tuple(pieces[::2]), names=tuple(pieces[1::2]))

    def pattern(self, rest: str | None) -> str:
        """Regular expression; the group of the first variable has the text of all variables."""
        first, last = re.escape(self.literals[0]), re.escape(self.literals[-1])
        if not self.names:
            return first
        name = self.names[0]
        return f"{first}(?P<{name}>{'.+' if name == rest else '[^/]+'}){last}"

    def split(self, text: str) -> dict[str, str] | None:
        """The values of several variables from the text between first and last literal, or None.

        From the right, each variable as short as possible, so that the first is the longest. Same
        result as a greedy regular expression, but in linear time: backtracking takes minutes for
        `{year}-{month}-{day}.log` on `-----…`.
        """
        end, values = len(text), []
        for literal in reversed(self.literals[1:-1]):
            # Leave at least one character for this variable and one for those before it.
            at = text.rfind(literal, 1, end - 1) if end > 1 else -1
            if at < 0:
                return None
            values.append(text[at + len(literal) : end])
            end = at
        values.append(text[:end])
        return dict(zip(self.names, reversed(values), strict=True))


class PathTemplate(Value, frozen=True, kw_only=True, dict=True):
    """A parsed path template."""

    #: Source text of the template.
    text: str
    #: Names of the variables, in order.
    names: tuple[str, ...]
    #: The variable that also matches slashes, if any.
    rest: str | None
    _segments: tuple[_Segment, ...]

    @classmethod
    def parse(cls, text: str, *, rest: str | None = None) -> "PathTemplate":
        """Parse a template; raises BadTemplate."""
        names = tuple(_VARIABLE.findall(text))
        _check(text, names)
        used = rest if rest in names else None
        if used and not text.endswith(f"/{{{used}}}"):
            raise BadTemplate(
                f"{{{used}}} takes the rest of the path, so it has to be the last segment"
            )
        segments = tuple(map(_Segment.parse, text.split("/")))
        return cls(text=text, names=names, rest=used, _segments=segments)

    @property
    def shape(self) -> str:
        """The template without variable names; equal for templates that match the same paths."""
        return _VARIABLE.sub("{}", self.text)

    def match(self, raw_path: str) -> dict[str, str] | None:
        """The raw (percent-encoded) values by variable name, or None if there is no match."""
        found = self._pattern.fullmatch(raw_path)
        if found is None:
            return None
        values = found.groupdict()
        for segment in self._compound:
            parts = segment.split(values[segment.names[0]])
            if parts is None:
                return None
            values |= parts
        return {name: values[name] for name in self.names} if self._compound else values

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(
            "/".join(segment.pattern(self.rest) for segment in self._segments), re.DOTALL
        )

    @cached_property
    def _compound(self) -> tuple[_Segment, ...]:
        """The segments with several variables."""
        return tuple(segment for segment in self._segments if len(segment.names) > 1)

    def fill(self, values: Mapping[str, str]) -> str:
        """Substitute raw values for the variables; raises KeyError."""
        return _VARIABLE.sub(lambda found: values[found[1]], self.text)


def _check(text: str, names: tuple[str, ...]) -> None:
    if not text.startswith("/"):
        raise BadTemplate(f"{text!r} has to start with a slash, as in '/{text}'")
    # Request paths are ASCII, other characters are percent-encoded: they would never match.
    if leftover := re.search(r"[{}?#\s%]|[^\x21-\x7e]", _VARIABLE.sub("", text)):
        raise BadTemplate(
            f"{text!r} has {leftover[0]!r} outside a variable; variables look like {{name}}"
        )
    if "//" in text:
        raise BadTemplate(f"{text!r} has an empty segment ('//') and can match nothing")
    if doubled := [name for name in names if names.count(name) > 1]:
        raise BadTemplate(f"{text!r} names {{{doubled[0]}}} twice")
