"""Run the rules over a plugin set; results that depend on one script only are cached per file."""

import difflib
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from qmonus_lite.catalog.document import Document, Pointer
from qmonus_lite.catalog.files import printable
from qmonus_lite.catalog.kinds import KINDS
from qmonus_lite.catalog.lint.linted_plugins import LintedPlugin, LintedPlugins
from qmonus_lite.catalog.lint.rules import USUAL_LIMIT, LintRule, rules
from qmonus_lite.catalog.lint.script import ScriptView
from qmonus_lite.catalog.lint.warning import Hit, PluginWarning

logger = logging.getLogger(__name__)

#: Maximum warnings per rule and script, or per rule over all plugins; near matches take time.
MAX_FOUND = 200
#: Similarity to `.yml` from which a file extension counts as misspelt.
_SUFFIX_CUTOFF = 0.75


class Linter:
    """Finds warnings; caches the results of unchanged files."""

    def __init__(self, limit: float = USUAL_LIMIT) -> None:
        """`limit`: time limit of a request/reply event in seconds."""
        self._rules = rules(limit)
        self._found: dict[tuple[Document, Pointer], list[PluginWarning]] = {}

    @staticmethod
    def plugin(document: Document, pointer: Pointer, kind: str, value: Any) -> LintedPlugin:
        """A plugin prepared for the rules."""
        keys = KINDS[kind].scripts if kind in KINDS else ()
        views = (_view(document, (*pointer, key), value) for key in keys if key in value)
        scripts = tuple(view for view in views if view is not None)
        return LintedPlugin(
            document=document, pointer=pointer, kind=kind, value=value, scripts=scripts
        )

    def warnings(self, plugins: LintedPlugins) -> tuple[PluginWarning, ...]:
        """All warnings of all rules, in the order of the files."""
        before, self._found = self._found, {}
        for _, script in plugins.scripts:
            key = script.document, script.pointer
            known = before.get(key)
            self._found[key] = list(self._of_script(script)) if known is None else known
        found = [*_ignored(plugins.ignored), *chain.from_iterable(self._found.values())]
        for rule in self._rules:
            found += _guarded(rule, lambda rule=rule: _of_set(rule, plugins))  # type: ignore[misc]
        return tuple(sorted(set(found)))

    def _of_script(self, script: ScriptView) -> Iterator[PluginWarning]:
        for rule in self._rules:
            yield from _guarded(rule, lambda rule=rule: _of_script(rule, script))  # type: ignore[misc]


def _view(document: Document, pointer: Pointer, value: Any) -> ScriptView | None:
    block = document.block(pointer)
    if block is None:
        return None
    return ScriptView(
        document=document,
        pointer=pointer,
        value=value,
        text=block.text,
        line=block.line,
        indent=block.indent,
    )


def _guarded(
    rule: LintRule, find: Callable[[], Iterator[PluginWarning]]
) -> Sequence[PluginWarning]:
    """Warnings of a rule; none if the rule raises, since rules must not prevent a load."""
    try:
        return list(islice(find(), MAX_FOUND))
    except Exception:
        logger.exception("the rule %s failed", rule.id, extra={"action": "rule_failed"})
        return []


def _of_script(rule: LintRule, script: ScriptView) -> Iterator[PluginWarning]:
    for hit in rule.script(script) if rule.script else ():
        yield _warning(rule, script.document, script, hit)


def _of_set(rule: LintRule, plugins: LintedPlugins) -> Iterator[PluginWarning]:
    for plugin, hit in rule.plugins(plugins) if rule.plugins else ():
        script = next((view for view in plugin.scripts if view.pointer == hit.pointer), None)
        yield _warning(rule, plugin.document, script, hit)


def _warning(
    rule: LintRule, document: Document, script: ScriptView | None, hit: Hit
) -> PluginWarning:
    if script is not None and hit.node is not None:
        line, column = script.position(hit.node)
    else:
        line, column = document.position(hit.pointer)
    return PluginWarning(document.file, line, column, rule.id, hit.message, rule.level)


def _ignored(paths: Sequence[Path]) -> Iterator[PluginWarning]:
    """Files that are not read but look like plugin files."""
    for path in paths:
        if reason := _ignored_reason(path):
            message = f"{reason}, so it is not read; plugin files end in .yml or .yaml"
            yield PluginWarning(printable(path), 1, 1, "file-ignored", message)


def _ignored_reason(path: Path) -> str:
    suffix = path.suffix.casefold()
    if path.is_symlink() and path.is_dir():
        return "a link to a folder is not followed"
    if suffix in {".yml", ".yaml"}:
        return f"its name ends in {path.suffix}, in capitals"
    if suffix in {".py", ".json"}:
        return f"its name ends in {path.suffix}"
    inner = path.stem.casefold().endswith((".yml", ".yaml"))
    if suffix == ".txt" and inner or _is_misspelt_suffix(suffix):
        return f"its name ends in {path.suffix}"
    return ""


def _is_misspelt_suffix(suffix: str) -> bool:
    if not suffix.removeprefix(".").isalpha():
        return False
    return bool(difflib.get_close_matches(suffix, [".yml", ".yaml"], n=1, cutoff=_SUFFIX_CUTOFF))
