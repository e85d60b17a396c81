"""Rule about settings that scripts read from `options`."""

import ast
from collections.abc import Iterator

from qmonus_lite.catalog.lint.script import ScriptView
from qmonus_lite.catalog.lint.warning import Hit
from qmonus_lite.scripting.options import OPTIONS


def unknown_option(script: ScriptView) -> Iterator[Hit]:
    """Attributes that `options` does not have."""
    if "options" not in script.text or script.bound.get("options"):
        return
    for node in script.all(ast.Attribute):
        is_option = isinstance(node.value, ast.Name) and node.value.id == "options"
        if is_option and isinstance(node.ctx, ast.Load) and not _exists(node.attr):
            message = f"options has no {node.attr!r}; scripts see {', '.join(OPTIONS)}"
            yield Hit(message=message, node=node)


def _exists(name: str) -> bool:
    return name in OPTIONS or name.startswith("__")
