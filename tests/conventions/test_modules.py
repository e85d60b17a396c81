"""Conventions of the package's modules: docstrings, sizes, names, imports, broad exceptions."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "qmonus_lite"

MAX_MODULE_LINES = 320
MAX_FUNCTION_CODE_LINES = 50

#: Modules above MAX_MODULE_LINES, with the lines that they may have until they are split.
LARGE_MODULES: dict[str, int] = {}

#: Words that say nothing of what a module contains.
VAGUE_WORDS = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "manager",
    "managers",
    "base",
    "misc",
}

#: Modules that may catch every exception and not raise it again: module -> what it is there, and
#: what becomes of it. It is logged or handed on. Cleaning up and raising it again needs no entry.
BROAD_HANDLERS = {
    "http/connection.py": "an unexpected error of a connection; logged, and it is closed",
    "http/pipeline.py": "an unexpected error of an endpoint; logged, and answered 500",
    "catalog/builders.py": "a plugin that nobody thought of; logged, becomes a fault of its file",
    "catalog/lint/linter.py": "a rule of check that fails; logged, and the other rules go on",
    "catalog/document.py": "whatever the YAML library stumbles over; becomes a fault of its file",
    "scripting/compiler.py": "what a script does as it is loaded; becomes a fault of its file",
    "stores/file/steps.py": "how one upload of several ended; raised to its own session",
    "stores/memory.py": "how the seal of one upload ended; raised to its own session",
    "scripting/loading.py": "what a script does on the thread that loads it; handed to who waits",
    "uploads/batching.py": "a batch that failed unexpectedly; logged, its callers find no result",
    "writer/server.py": "a call of an APIGW that failed; logged, and the APIGW hears 500",
    "transports/http/listener.py": "a message that a worker could not answer; logged, answered 500",
    "scripting/runner.py": "whatever a script raises; logged, and becomes its refusal",
    "background.py": "how a background task ended; logged, and it is started again",
    "catalog/live.py": "a look at the plugin folders that broke off; a listed fault, tried again",
    "events/dispatcher.py": "a delivery or a turn of the loop; logged, and tried again",
    "database/transaction.py": "a change that broke off; handed to those who asked for it",
    "log/configuration.py": "a record that cannot be formatted; its traceback is logged",
    "observations.py": "a listener that fails; logged, and the other listeners are called",
    "events/reported_workers.py": "a listener that fails; logged, and the others are called",
    "transports/http/worker_registry.py": "polling of one worker; logged, and polled again",
}

#: Tokens that alone make no line of code.
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module:
    """One module of the package, parsed once."""

    def __init__(self, name: str, text: str) -> None:
        #: Path inside the package.
        self.name = name
        self.text = text
        self.tree = ast.parse(text)

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (ast.get_docstring(self.tree) or "").partition("\n")[0]

    @property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @property
    def public_classes(self) -> list[str]:
        names = [node.name for node in self.tree.body if isinstance(node, ast.ClassDef)]
        return [name for name in names if not name.startswith("_")]

    def code_lines(self) -> set[int]:
        """Numbers of the lines that hold code: not blank, no comment, no docstring."""
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in NO_CODE:
                lines |= set(range(token.start[0], token.end[0] + 1))
        for node in self.functions:
            if ast.get_docstring(node) is not None:
                lines -= _span(node.body[0])
        return lines

    def code_lines_by_function(self) -> dict[str, int]:
        lines = self.code_lines()
        return {
            f"{self.name}:{node.lineno} {node.name}": len(lines & _span(node))
            for node in self.functions
        }


def _span(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    names = {node.id for node in ast.walk(caught) if isinstance(node, ast.Name)}
    return not names.isdisjoint({"Exception", "BaseException"})


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    leaves_early = any(isinstance(node, ast.Return) for node in ast.walk(handler))
    return isinstance(last, ast.Raise) and last.exc is None and not leaves_early


def _swallows(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler):
        return _is_broad(node.type) and not _raises_again(node)
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
        return any(_is_broad(argument) for argument in node.args)
    return False


def _has_broad_handler(module: Module) -> bool:
    return any(_swallows(node) for node in ast.walk(module.tree))


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return [Module(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in paths]


def test_every_module_has_a_summary_of_one_sentence(modules: list[Module]) -> None:
    sentence = re.compile(r"\S.*[^.]\.")
    without = [module.name for module in modules if not sentence.fullmatch(module.summary)]
    several = [module.name for module in modules if re.search(r"[.!?] [A-Z]", module.summary)]

    assert without + several == []


def test_no_module_is_too_large(modules: list[Module]) -> None:
    sizes = {module.name: len(module.text.splitlines()) for module in modules}
    for path in (TOP / "scripts").rglob("*.py"):
        sizes[path.relative_to(TOP).as_posix()] = len(path.read_text().splitlines())
    large = {name: size for name, size in sizes.items() if size > MAX_MODULE_LINES}

    assert {name: n for name, n in large.items() if n > LARGE_MODULES.get(name, 0)} == {}
    assert set(LARGE_MODULES) - set(large) == set(), "split by now: off the list"


def test_no_function_is_too_long(modules: list[Module]) -> None:
    sizes = {name: n for module in modules for name, n in module.code_lines_by_function().items()}

    assert {name: n for name, n in sizes.items() if n > MAX_FUNCTION_CODE_LINES} == {}


def test_no_module_has_a_vague_name(modules: list[Module]) -> None:
    words = {module.name: set(re.split(r"[/_.]", module.name)) for module in modules}

    assert [name for name, parts in words.items() if parts & VAGUE_WORDS] == []


def test_no_two_public_classes_share_a_name(modules: list[Module]) -> None:
    places: dict[str, list[str]] = {}
    for module in modules:
        for name in module.public_classes:
            places.setdefault(name, []).append(module.name)

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_nothing_is_imported_inside_a_function(modules: list[Module]) -> None:
    inside = {
        f"{module.name}:{node.lineno}"
        for module in modules
        for function in module.functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert inside == set()


def test_no_module_changes_globals(modules: list[Module]) -> None:
    changing = [
        f"{module.name}:{node.lineno}"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global)
    ]

    assert changing == []


def test_only_the_listed_modules_catch_every_exception(modules: list[Module]) -> None:
    assert {module.name for module in modules if _has_broad_handler(module)} == set(BROAD_HANDLERS)


@pytest.mark.parametrize(
    ("handling", "broad"),
    [
        ("except: pass", True),
        ("except BaseException as error: print(error)", True),
        ("except (OSError, Exception): pass", True),
        ("except Exception as error: raise ValueError from error", True),
        ("except BaseException: print(1); raise", False),
        ("except OSError: pass", False),
    ],
)
def test_recognizes_a_broad_handler(handling: str, broad: bool) -> None:
    assert _has_broad_handler(Module("x.py", f"try: ...\n{handling}\n")) is broad


def test_nothing_is_left_to_be_done_later(modules: list[Module]) -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX)\b")

    assert [module.name for module in modules if later.search(module.text)] == []


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in (TOP / "tests").rglob("test_*.py")}

    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_counts_only_lines_that_hold_code() -> None:
    text = '''
def outer(
    name: str,
) -> str:
    """Not code,

    nor is this."""
    # Nor this.
    text = """one
    two"""

    return text + name


def after() -> None: ...
'''

    assert Module("x.py", text).code_lines_by_function() == {"x.py:2 outer": 6, "x.py:15 after": 1}
