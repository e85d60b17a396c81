"""One warning: a place in a plugin file, the rule that found it, and what to do."""

import ast
from dataclasses import dataclass

from qmonus_lite.catalog.document import Pointer


@dataclass(frozen=True, order=True)
class PluginWarning:
    """Something that a plugin file says and hardly can mean; it never stops a load."""

    #: Path of the plugin file as the user can open it.
    file: str
    #: Line and column, both counted from 1.
    line: int
    column: int
    #: Id of the rule.
    rule: str
    #: What is wrong, and what to do.
    message: str
    #: `warning`, or `note` for what means something else since a release.
    level: str = "warning"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.level}[{self.rule}]: {self.message}"


@dataclass(frozen=True, kw_only=True)
class Hit:
    """What a rule found: a message, and a place in the document or in a script of it."""

    message: str
    #: Path into the document, from its root; of a file that is no document the line and column.
    pointer: Pointer = ()
    #: Part of a script, where it is one.
    node: ast.AST | None = None
