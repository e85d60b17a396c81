"""Path templates such as `/v1/tenants/{tenant_id}/images/{filename}/file`, matched to raw paths.

A variable matches within one segment; the variable named by `rest` matches the remainder of the
path, slashes included. Matching uses the raw, percent-encoded path, so an encoded slash never
becomes a separator.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from urllib.parse import unquote_to_bytes

from qmonus_lite.errors import InvalidPath

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

#: Control characters, surrogates, and bidirectional marks that disguise a name.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")

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


@dataclass(frozen=True, kw_only=True)
class _Segment:
    """A segment of a template: literals, and the variables between them."""

    literals: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "_Segment":
        """Parse a segment of a template."""
        pieces = _VARIABLE.split(text)
        return cls(literals=tuple(pieces[::2]), names=tuple(pieces[1::2]))

    def match(self, text: str) -> dict[str, str] | None:
        """The values in a segment of a path, or None.

        Matches from the right, each variable as short as possible, so that the first is the
        longest. Same result as a greedy regular expression, but in linear time: backtracking takes
        minutes for `{year}-{month}-{day}.log` on `-----…`.
        """
        first, last = self.literals[0], self.literals[-1]
        if not self.names:
            return {} if text == first else None
        if not text.startswith(first) or not text.endswith(last):
            return None
        start, end = len(first), len(text) - len(last)
        values: list[str] = []
        for literal in reversed(self.literals[1:-1]):
            # Leave at least one character for this variable and one for those before it.
            at = text.rfind(literal, start + 1, end - 1) if end - start > 1 else -1
            if at < 0:
                return None
            values.append(text[at + len(literal) : end])
            end = at
        if end <= start:
            return None
        values.append(text[start:end])
        return dict(zip(self.names, reversed(values), strict=True))


@dataclass(frozen=True, kw_only=True)
class PathTemplate:
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
        if self._pattern is not None:
            whole = self._pattern.fullmatch(raw_path)
            return None if whole is None else whole.groupdict()
        # With `rest`, the remainder of the path is not split.
        most = len(self._segments) - 1 if self.rest else -1
        parts = raw_path.split("/", most)
        if len(parts) != len(self._segments):
            return None
        values: dict[str, str] = {}
        for segment, part in zip(self._segments, parts, strict=True):
            found = segment.match(part)
            if found is None:
                return None
            values |= found
        return values

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        """Equivalent regular expression, if no segment has two variables; else None."""
        if any(len(segment.names) > 1 for segment in self._segments):
            return None
        parts = [re.escape(part) for part in _VARIABLE.split(self.text)[::2]]
        groups = [f"(?P<{name}>{'.+' if name == self.rest else '[^/]+'})" for name in self.names]
        text = "".join(map("".join, zip_longest(parts, groups, fillvalue="")))
        return re.compile(text, re.DOTALL)

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
