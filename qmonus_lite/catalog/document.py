"""Parse plugin YAML into plain values with line numbers; `text_edits` changes YAML text.

Refused with line and column: a second document, duplicate keys, aliases, unknown tags, input that
would take seconds to parse, and values that cannot be written as JSON later.
Allowed tags are `!env NAME` and `!sealed TEXT`; they become instances of `Env` and `Sealed`.
"""

import datetime
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarstring import LiteralScalarString

from qmonus_lite.catalog.yaml_reader import MAX_DEPTH, RefusedYAML, reader
from qmonus_lite.control_characters import CONTROLS, DIRECTION_MARKS, SEPARATORS
from qmonus_lite.errors import BadResource, Fault
from qmonus_lite.scripting.origin import lines_of
from qmonus_lite.values import Value

#: Control characters, line separators and direction marks, not allowed in names.
CONTROL = re.compile(f"[{CONTROLS}{SEPARATORS}{DIRECTION_MARKS}]")
#: Text that the library gives a tag of YAML 1.1.
_TEXT_OF_1_2 = {"=": "tag:yaml.org,2002:value", "<<": "tag:yaml.org,2002:merge"}
_BRACKETS = re.compile(r"[\[\]{}]")

#: A path into a document: keys and indexes.
Pointer = tuple[str | int, ...]


@dataclass(frozen=True)
class Env:
    """`!env NAME`: the value of an environment variable, read at use."""

    name: str


@dataclass(frozen=True)
class Sealed:
    """`!sealed TEXT`: a value encrypted for its context (file and key)."""

    text: str


class BadDocument(Exception):
    """A file that is not usable YAML; `fault` has the position."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


class Block(Value, frozen=True, kw_only=True):
    """A block of text inside a document, such as a script."""

    text: str
    #: Line of its first character, from 1, and the columns it is indented by.
    line: int
    indent: int


class Document:
    """One parsed YAML file."""

    def __init__(self, file: str, source: str) -> None:
        """Parse the source; raises BadDocument."""
        self.file = file
        self.source = source
        self._tree = _load(file, source)
        #: The file's content as plain dicts, lists, scalars, `Env` and `Sealed`.
        self.value: Any = self._plain(self._tree, ())

    @property
    def is_commented_out(self) -> bool:
        """Whether the file has comments and nothing else."""
        rows = [row.strip() for row in lines_of(self.source.removeprefix("\ufeff"))]
        return any(rows) and all(not row or row.startswith("#") for row in rows)

    def position(self, pointer: Pointer) -> tuple[int, int]:
        """Line and column, from 1, of the value at `pointer` (or of its nearest ancestor)."""
        node, spot = self._tree, (0, 0)
        for step in pointer:
            try:
                spot = _spot(node, step)
                node = node[step]
            except (KeyError, IndexError, TypeError, AttributeError):
                break
        return spot[0] + 1, spot[1] + 1

    def fault(self, pointer: Pointer, message: str) -> Fault:
        """A fault at a position of this document."""
        line, column = self.position(pointer)
        return Fault(self.file, line, column, message)

    def block(self, pointer: Pointer) -> Block | None:
        """The literal block (`|`) at `pointer`, or None if it has another style."""
        node = self._tree
        for step in pointer[:-1]:
            node = node[step]
        text = node[pointer[-1]]
        if not isinstance(text, LiteralScalarString):
            return None
        # The block's text starts on the line after its indicator, at the first used column.
        line = node.lc.value(pointer[-1])[0] + 1
        lines = lines_of(self.source)[line:]
        used = next((entry for entry in lines if entry.strip()), "")
        return Block(text=str(text), line=line + 1, indent=len(used) - len(used.lstrip(" ")))

    def _plain(self, node: Any, pointer: Pointer) -> Any:
        if isinstance(node, TaggedScalar):
            return self._tagged(node, pointer)
        if isinstance(node, (CommentedMap, CommentedSeq)) and node.tag.value is not None:
            raise BadDocument(self.fault(pointer, f"tag {node.tag.value!r} is not one of ours"))
        if isinstance(node, CommentedMap):
            return {
                self._key(key, pointer): self._plain(value, (*pointer, key))
                for key, value in node.items()
            }
        if isinstance(node, CommentedSeq):
            return [self._plain(value, (*pointer, index)) for index, value in enumerate(node)]
        try:
            return _scalar(node)
        except (TypeError, ValueError) as error:
            raise BadDocument(self.fault(pointer, str(error))) from None

    def _key(self, key: Any, pointer: Pointer) -> str:
        if not isinstance(key, str):
            fault = self.fault((*pointer, key), f"key {key!r} is not text; put it in quotes")
            raise BadDocument(fault)
        if CONTROL.search(key):
            message = f"key {str(key)!r} has a control character or a direction mark"
            raise BadDocument(self.fault((*pointer, key), message))
        return str(key)

    def _tagged(self, node: TaggedScalar, pointer: Pointer) -> Env | Sealed | str:
        tag, text = node.tag.value, str(node.value)
        if _TEXT_OF_1_2.get(text) == tag:
            return text
        if tag == "!env" and text:
            return Env(text)
        if tag == "!sealed" and text:
            return Sealed(text)
        expected = "expected '!env NAME' or '!sealed TEXT'"
        raise BadDocument(self.fault(pointer, f"tag {tag!r}: {expected}"))


def _check_depth(file: str, source: str) -> None:
    """Refuse deeply nested brackets: the parser takes minutes for some thousands."""
    depth = 0
    for found in _BRACKETS.finditer(source):
        depth = max(0, depth + (1 if found[0] in "[{" else -1))
        if depth > MAX_DEPTH:
            fault = Fault(file, *_spot_at(source, found.start()), "brackets are nested too deeply")
            raise BadDocument(fault)


def _spot_at(source: str, position: int) -> tuple[int, int]:
    """Line and column, from 1, of a position in the text."""
    return source.count("\n", 0, position) + 1, position - source.rfind("\n", 0, position)


def _load(file: str, source: str) -> Any:
    _check_depth(file, source)
    try:
        return reader().load(source)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise BadDocument(Fault(file, line, column, _reason(error))) from None
    except ReaderError as error:
        line, column = _spot_at(source, error.position)
        reason = "a control character, or another that YAML does not take"
        raise BadDocument(Fault(file, line, column, f"not usable YAML: {reason}")) from None
    except Exception as error:
        # The library raises other errors than YAMLError for some files.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadDocument(Fault(file, 1, 1, f"not usable YAML: {reason}")) from None


def _reason(error: MarkedYAMLError) -> str:
    if isinstance(error, MaxDepthExceededError):
        return "is nested too deeply"
    reason = " ".join((error.problem or "cannot be read").split())
    if r"'\t'" in reason:
        reason = "a tab, where YAML takes spaces only; indent with spaces"
    return reason if isinstance(error, RefusedYAML) else f"not usable YAML: {reason}"


def _spot(node: Any, step: str | int) -> tuple[int, int]:
    if isinstance(node, CommentedMap):
        line, column = node.lc.key(step)
    else:
        line, column = node.lc.item(step)
    return line, column


def _scalar(node: Any) -> Any:
    """A scalar without its round-trip class; raises TypeError or ValueError."""
    if node is None or isinstance(node, bool):
        return node
    if isinstance(node, ScalarBoolean):
        return bool(node)
    if isinstance(node, (int, float)):
        return _finite(int(node) if isinstance(node, int) else float(node))
    if isinstance(node, str):
        return str(node)
    if isinstance(node, datetime.date):
        return node.isoformat()
    raise TypeError(f"a value of type {type(node).__name__}, which plugins have no use for")


def _finite(number: int | float) -> int | float:
    """The number, if JSON has it and parsers agree on its value; raises ValueError."""
    try:
        if math.isfinite(number):
            return number
    except OverflowError:
        pass
    raise ValueError("a number that JSON has no form for (.nan, .inf, or above 1.8e308)")


def read_values(path: Path) -> dict[str, object]:
    """A settings file: one mapping of names to values; raises BadResource."""
    try:
        document = Document(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadResource(f"--config={path}: cannot be read: {error}") from None
    except BadDocument as error:
        raise BadResource(str(error)) from None
    if not isinstance(document.value, Mapping):
        raise BadResource(f"--config={path}: expected a mapping of names to values")
    return dict(document.value)


def dump(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Plain values as YAML text."""
    out = io.StringIO()
    reader().dump(value, out)
    return out.getvalue()
