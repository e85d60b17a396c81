"""A warning (position in a plugin file, rule, and advice), and the result of a rule."""

import ast

from qmonus_lite.catalog.document import Pointer
from qmonus_lite.values import Value


class PluginWarning(Value, frozen=True, order=True):
    """A likely mistake in a plugin file; it never prevents loading."""

    #: Path of the plugin file that the user can open.
    file: str
    #: Line and column, both counted from 1.
    line: int
    column: int
    #: Id of the rule.
    rule: str
    #: What is wrong, and how to fix it.
    message: str
    #: `warning`, or `note` for code whose meaning changed in a release.
    level: str = "warning"

    def __str__(self) -> str:
        location = f"{self.file}:{self.line}:{self.column}"
        return f"{location}: {self.level}[{self.rule}]: {self.message}"


class Hit(Value, frozen=True, kw_only=True):
    """Result of a rule: a message, and a position in the document or in one of its scripts."""

    message: str
    #: Path into the document, from its root; line and column in a file that is no document.
    pointer: Pointer = ()
    #: Syntax tree node, for a position in a script.
    node: ast.AST | None = None
