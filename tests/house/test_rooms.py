"""How the rooms are kept: captions, sizes, names, and what no room may hold."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "qmonus_lite"

MOST_LINES_OF_A_MODULE = 350
MOST_CODE_LINES_OF_A_FUNCTION = 50

#: Words for a drawer, where a room should say its noun.
DRAWERS = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "base", "misc"}

#: The doors where any exception at all ends: module -> what becomes of it there. Each of them logs
#: it or hands it to somebody. Who cleans up and raises it again is no door.
BROAD_DOORS = {
    "http/connection.py": "an unexpected error of a connection; logged, and it is closed",
    "http/pipeline.py": "an unexpected error of an endpoint; logged, and answered 500",
    "http/stream_body.py": "an error of who takes a chunk; handed to the task that reads the body",
    "catalog/builders.py": "a plugin that nobody thought of; logged, becomes a fault of its file",
    "catalog/lint/linter.py": "a rule of check that fails; logged, and the other rules go on",
    "catalog/document.py": "whatever the YAML library stumbles over; becomes a fault of its file",
    "scripting/compiler.py": "what a script does as it is loaded; becomes a fault of its file",
    "stores/file/steps.py": "how one upload of several ended; raised to its own session",
    "stores/memory.py": "how the seal of one upload ended; raised to its own session",
    "scripting/loading.py": "what a script does on the thread that loads it; handed to who waits",
    "uploads/batching.py": "a batch that failed unexpectedly; logged, its callers find no result",
    "writer/server.py": "a call of an APIGW that failed; logged, and the APIGW hears 500",
    "worker/listener.py": "a message that the worker could not answer; logged, and answered 500",
    "scripting/runner.py": "whatever a script raises; logged, and becomes its refusal",
    "background.py": "how a background task ended; logged, and it is started again",
    "catalog/live.py": "a look at the plugin folders that broke off; a listed fault, tried again",
    "events/dispatcher.py": "a delivery or a turn of the loop; logged, and tried again",
    "events/database.py": "a change that broke off; handed to those who asked for it",
    "observations.py": "a listener that fails; logged, and the other listeners are called",
    "events/worker_registry.py": "the following of one worker, or a listener; logged, goes on",
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


class Room:
    """One module of the package, read once."""

    def __init__(self, name: str, text: str) -> None:
        #: Its path inside the package.
        self.name = name
        self.text = text
        self.tree = ast.parse(text)

    @property
    def caption(self) -> str:
        return (ast.get_docstring(self.tree) or "").partition("\n")[0]

    @property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

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


def _ends_any(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler):
        return _is_broad(node.type) and not _raises_again(node)
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
        return any(_is_broad(argument) for argument in node.args)
    return False


def _is_door(room: Room) -> bool:
    return any(_ends_any(node) for node in ast.walk(room.tree))


@pytest.fixture(scope="module")
def rooms() -> list[Room]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return [Room(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in paths]


def test_every_room_has_a_caption_of_one_sentence(rooms: list[Room]) -> None:
    sentence = re.compile(r"\S.*[^.]\.")
    without = [room.name for room in rooms if not sentence.fullmatch(room.caption)]
    several = [room.name for room in rooms if re.search(r"[.!?] [A-Z]", room.caption)]

    assert without + several == []


def test_no_room_is_too_large(rooms: list[Room]) -> None:
    sizes = {room.name: len(room.text.splitlines()) for room in rooms}

    assert {name: n for name, n in sizes.items() if n > MOST_LINES_OF_A_MODULE} == {}


def test_no_function_is_too_long(rooms: list[Room]) -> None:
    sizes = {name: n for room in rooms for name, n in room.code_lines_by_function().items()}

    assert {name: n for name, n in sizes.items() if n > MOST_CODE_LINES_OF_A_FUNCTION} == {}


def test_no_room_is_a_drawer(rooms: list[Room]) -> None:
    words = {room.name: set(re.split(r"[/_.]", room.name)) for room in rooms}

    assert [name for name, parts in words.items() if parts & DRAWERS] == []


def test_nothing_is_imported_inside_a_function(rooms: list[Room]) -> None:
    inside = {
        f"{room.name}:{node.lineno}"
        for room in rooms
        for function in room.functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert inside == set()


def test_no_room_changes_globals(rooms: list[Room]) -> None:
    changing = [
        f"{room.name}:{node.lineno}"
        for room in rooms
        for node in ast.walk(room.tree)
        if isinstance(node, ast.Global)
    ]

    assert changing == []


def test_any_exception_ends_at_the_listed_doors_only(rooms: list[Room]) -> None:
    assert {room.name for room in rooms if _is_door(room)} == set(BROAD_DOORS)


@pytest.mark.parametrize(
    ("handling", "door"),
    [
        ("except: pass", True),
        ("except BaseException as error: print(error)", True),
        ("except (OSError, Exception): pass", True),
        ("except Exception as error: raise ValueError from error", True),
        ("except BaseException: print(1); raise", False),
        ("except OSError: pass", False),
    ],
)
def test_knows_a_door_for_any_exception(handling: str, door: bool) -> None:
    assert _is_door(Room("x.py", f"try: ...\n{handling}\n")) is door


def test_nothing_is_left_to_be_done_later(rooms: list[Room]) -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX)\b")

    assert [room.name for room in rooms if later.search(room.text)] == []


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

    assert Room("x.py", text).code_lines_by_function() == {"x.py:2 outer": 6, "x.py:15 after": 1}
