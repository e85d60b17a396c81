"""The YAML parser of plugin files: round-trip, without aliases, with limits, Unicode text only.

JSON writes a character beyond U+FFFF as two escapes (`\\ud83d\\ude00`), each a surrogate. Such a
pair is combined into its character here; a lone surrogate is refused, as it cannot be encoded.

U+0085, U+2028 and U+2029 are text, as in YAML 1.2 and in Python. The library ends lines there, as
YAML 1.1 did, so it gets an unused character in the place of each.
"""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, ScalarEvent
from ruamel.yaml.reader import Reader
from ruamel.yaml.scanner import RoundTripScanner

#: Maximum nesting depth, and maximum number of values per file: the parser takes 1 s for them.
MAX_DEPTH, MAX_VALUES = 100, 10_000
#: Tags of a value; None is no tag. With another one, such as `!!int` or `!!omap`, the library makes
#: a value of another type than the text says.
TAGS = {None, "!env", "!sealed"}

_SURROGATE = re.compile("[\ud800-\udfff]")
#: Line breaks of the library with the space; with the tab and the end of the text.
_BLANKS, _SPACES = " \r\n\x85\u2028\u2029", "\0 \t\r\n\x85\u2028\u2029"
#: Line ends of YAML 1.1 that are text in YAML 1.2.
_SEPARATORS = "\x85\u2028\u2029"
#: Code points for private use; a plugin file is too small to contain all of them.
_PRIVATE_USE = (*range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE))
#: What the library raises, without a position, for a scalar that is invalid for its type.
_NOT_OF_ITS_TYPE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class RefusedYAML(ComposerError):
    """Valid YAML that is not allowed in plugin files."""


class _Reader(Reader):
    """Replaces each of the separators by an unused character, so that positions stay right."""

    def __init__(self, stream: Any, loader: Any = None) -> None:
        self._separators: dict[int, str] = {}
        super().__init__(stream, loader)

    @property
    def stream(self) -> Any:
        """The source, a string."""
        return super().stream

    @stream.setter
    def stream(self, source: str | None) -> None:
        if source is not None:
            found = sorted(set(source) & set(_SEPARATORS))
            unused = (code for code in _PRIVATE_USE if chr(code) not in source)
            self._separators = dict(zip(unused, found, strict=False))
            source = source.translate({ord(sep): code for code, sep in self._separators.items()})
        Reader.stream.fset(self, source)  # type: ignore[attr-defined]

    def restored(self, text: str) -> str:
        """The text with the separators that the source has."""
        return text.translate(self._separators) if self._separators else text


class _Composer(Composer):
    """Refuses aliases, unknown tags, lone surrogates, and more than MAX_VALUES values."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self._values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._values += 1
        event = self.parser.peek_event()
        mark = event.start_mark
        if self.parser.check_event(AliasEvent):
            raise RefusedYAML(None, None, "an alias (*name); write the value out instead", mark)
        if event.tag not in TAGS:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            reason = f"tag {tag!r}: expected '!env NAME' or '!sealed TEXT'"
            raise RefusedYAML(None, None, reason, mark)
        # A key is composed without an index, as the root is.
        if parent is not None and index is None and not self.parser.check_event(ScalarEvent):
            raise RefusedYAML(None, None, "a list or a mapping in the place of a key", mark)
        if self._values > MAX_VALUES:
            raise RefusedYAML(None, None, f"more than {MAX_VALUES} values; split it", mark)
        return super().compose_node(parent, index)

    def compose_scalar_node(self, anchor: Any) -> Any:
        node = super().compose_scalar_node(anchor)
        node.value = self.loader.reader.restored(node.value)
        if _SURROGATE.search(node.value):
            node.value = _paired(node.value)
            if alone := _SURROGATE.search(node.value):
                reason = f"half of a surrogate pair (\\u{ord(alone[0]):04x}), which is no character"
                raise RefusedYAML(None, None, reason, node.start_mark)
        return node


class _Constructor(RoundTripConstructor):
    """Adds the position to errors of scalars that are invalid for their type, as 2001-02-30."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except MarkedYAMLError:
            raise
        except _NOT_OF_ITS_TYPE as error:
            reason = _single_line(error)
            raise MarkedYAMLError(problem=reason, problem_mark=node.start_mark) from None


class _Scanner(RoundTripScanner):
    """Reads blocks and question marks as YAML 1.2 says, and adds positions to errors of escapes."""

    def check_key(self) -> bool:
        # The library reads `{?a: 1}` as `{a: 1}`; now `?a` is refused there, as no plain text.
        return self.reader.peek(1) in _SPACES

    def scan_block_scalar_indentation(self) -> tuple[list[Any], int, Any]:
        """Skip the blank lines of a block; they may have fewer spaces than its text, not more.

        The library takes them only with as many spaces as the first of them.
        """
        breaks, widest, end = [], 0, self.reader.get_mark()
        while self.reader.peek() in _BLANKS:
            if self.reader.peek() == " ":
                self.reader.forward()
                widest = max(widest, self.reader.column)
            else:
                breaks.append(self.scan_line_break())
                end = self.reader.get_mark()
        if self.indent < self.reader.column < widest and self.reader.peek() != "\0":
            reason = "a blank line before the text of a block has more spaces than the text"
            raise MarkedYAMLError(problem=reason, problem_mark=self.reader.get_mark())
        return breaks, widest, end

    def scan_flow_scalar_non_spaces(self, double: Any, start_mark: Any) -> Any:
        try:
            return super().scan_flow_scalar_non_spaces(double, start_mark)
        except (OverflowError, ValueError):
            reason = "an escape that is no character of Unicode"
            raise MarkedYAMLError(problem=reason, problem_mark=self.reader.get_mark()) from None


def reader() -> YAML:
    """A parser and writer for one document."""
    yaml = YAML(typ="rt")
    yaml.Reader = _Reader
    yaml.Composer = _Composer
    yaml.Constructor = _Constructor
    yaml.Scanner = _Scanner
    yaml.max_depth = MAX_DEPTH
    yaml.width = 1 << 16
    return yaml


def _paired(text: str) -> str:
    """The text with each surrogate pair combined into its character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _single_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
