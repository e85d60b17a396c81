"""Rule about the arguments of `callout`."""

import ast
import difflib
from collections.abc import Iterator

from qmonus_lite.catalog.lint.contract import CALLOUT
from qmonus_lite.catalog.lint.script import ScriptView
from qmonus_lite.catalog.lint.warning import Hit


def unknown_argument(script: ScriptView) -> Iterator[Hit]:
    """Keyword arguments that `callout` does not take."""
    if "callout" not in script.text or script.bound.get("callout"):
        return
    for call in script.all(ast.Call):
        if not isinstance(call.func, ast.Name) or call.func.id != "callout":
            continue
        for keyword in call.keywords:
            if keyword.arg is not None and keyword.arg not in CALLOUT:
                near = difflib.get_close_matches(keyword.arg, CALLOUT, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                message = f"callout takes no {keyword.arg!r}, so this raises TypeError{hint}"
                yield Hit(message=message, node=keyword)
