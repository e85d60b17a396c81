"""Input of the rules: all plugins of one load, their scripts, and the ignored files."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qmonus_lite.catalog.document import Document, Pointer
from qmonus_lite.catalog.lint.script import ScriptView
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.values import Value


class LintedPlugin(Value, frozen=True, kw_only=True):
    """One plugin as written in its file."""

    document: Document
    pointer: Pointer
    #: Name of its kind.
    kind: str
    value: Mapping[str, Any]
    scripts: tuple[ScriptView, ...]

    def at(self, *pointer: str | int) -> Pointer:
        """The path from the document's root to a value in the plugin."""
        return (*self.pointer, *pointer)


class LintedPlugins(Value, frozen=True, kw_only=True):
    """All plugins of one load."""

    plugins: Sequence[LintedPlugin]
    catalog: Catalog
    #: Files below the folders that are not plugin files.
    ignored: Sequence[Path]

    def of(self, kind: str) -> Iterator[LintedPlugin]:
        """The plugins of a kind."""
        return (plugin for plugin in self.plugins if plugin.kind == kind)

    @property
    def scripts(self) -> Iterator[tuple[LintedPlugin, ScriptView]]:
        """Every script, with its plugin."""
        return ((plugin, script) for plugin in self.plugins for script in plugin.scripts)


def near(name: str, known: Collection[str], *, cutoff: float = 0.7) -> str:
    """`; did you mean 'x'?`, or an empty string if no known name is similar."""
    by_folded = {candidate.casefold(): candidate for candidate in sorted(known)}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return f"; did you mean {by_folded[found[0]]!r}?" if found else ""
