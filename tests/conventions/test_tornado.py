"""Private names of Tornado are used in one module; nothing else depends on its releases."""

import ast
import re
from pathlib import Path

import pytest
import tornado

from qmonus_lite.http import tornado_internals

PACKAGE = Path(tornado_internals.__file__).parents[1]
ALLOWED = Path(tornado_internals.__file__)
#: Private attributes of Tornado's own objects.
PRIVATE = frozenset(
    name
    for path in Path(tornado.__file__).parent.glob("*.py")
    for name in re.findall(r"(?:\.|def )(_[a-z]\w*)", path.read_text(encoding="utf-8"))
)


def uses(text: str) -> list[str]:
    """Private names of Tornado in a module that imports Tornado, as `line: name`."""
    tree = ast.parse(text)
    if not any(_is_tornado(node) for node in ast.walk(tree)):
        return []
    own = {name for node in ast.walk(tree) for name in _defined(node)}
    return [
        f"{node.lineno}: {node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in PRIVATE - own
    ] + [
        f"{node.lineno}: {alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and _is_tornado(node)
        for alias in node.names
        if alias.name.startswith("_")
    ]


def _is_tornado(node: ast.AST) -> bool:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    return any(name.partition(".")[0] == "tornado" for name in names)


def _defined(node: ast.AST) -> list[str]:
    """Attributes that a class of this module sets itself, if it has no base of Tornado."""
    if not isinstance(node, ast.ClassDef) or node.bases:
        return []
    assigned = [
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
    ]
    return assigned + [part.name for part in ast.walk(node) if isinstance(part, _FUNCTION)]


_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def test_one_module_uses_private_names_of_tornado() -> None:
    found = {
        str(path.relative_to(PACKAGE)): names
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != ALLOWED and (names := uses(path.read_text(encoding="utf-8")))
    }

    assert found == {}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("stream._state = None", ["2: _state"]),
        ("self.request.connection._disconnect_on_finish = True", ["2: _disconnect_on_finish"]),
        (
            "class H(tornado.web.RequestHandler):\n    a = lambda self: self._headers",
            ["3: _headers"],
        ),
        ("from tornado.http1connection import _QuietException", ["2: _QuietException"]),
        ("class C:\n    def __init__(self): self._state = 1", []),
        ("stream.closed()", []),
    ],
)
def test_finds_a_private_name(code: str, found: list[str]) -> None:
    assert uses(f"import tornado.web\n{code}\n") == found


def test_every_private_name_that_is_used_exists() -> None:
    tree = ast.parse(ALLOWED.read_text(encoding="utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    methods = {node.name for node in ast.walk(tree) if isinstance(node, _FUNCTION)}
    used = {name for name in names | methods if re.match(r"_[a-z]", name)}

    assert used <= PRIVATE
    assert used
