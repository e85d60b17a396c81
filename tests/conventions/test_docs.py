"""Conventions of the documentation: complete, linked, and true to the code's own tables."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from qmonus_lite import errors
from qmonus_lite.auth import callout_pass
from qmonus_lite.auth.sealing import Sealer
from qmonus_lite.catalog.document import read_values
from qmonus_lite.catalog.kinds import KINDS, UNSUPPORTED
from qmonus_lite.cli.commands import COMMANDS
from qmonus_lite.compose import shared
from qmonus_lite.compose.plugin_loader import make_loader
from qmonus_lite.events import retry
from qmonus_lite.events.envelope import UPLOADED, UPLOADING
from qmonus_lite.lambdas import chain
from qmonus_lite.scripting import loading
from qmonus_lite.scripting.builtins.callout import Callout
from qmonus_lite.scripting.builtins.names import NAMES
from qmonus_lite.settings.secret import MIN_SECRET_LENGTH
from qmonus_lite.settings.sources import resolve
from qmonus_lite.settings.table import FLAGS, Settings
from qmonus_lite.uploads.receipt import Receipt
from qmonus_lite.values import fields
from tests.docs.page import Block, blocks, pages

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"

#: Pages with commands that no test runs, and why.
NOT_RUN = {"docs/operations.md": "the key of an account, and two machines"}
#: Length of a decision: about a printed page.
MAX_DECISION_CHARACTERS = 6000

_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")


def name_of(page: Path) -> str:
    """A page as tests call it."""
    return str(page.relative_to(TOP))


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def missing(name: str, wanted: Iterable[str]) -> list[str]:
    page = text(name)
    return [word for word in wanted if word not in page]


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as a link may have them."""
    found = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def links(page: Path) -> list[tuple[Path, str]]:
    """Where a page leads to in this repository: files, and the anchors in them."""
    return [
        ((page.parent / target).resolve() if target else page, anchor)
        for target, anchor in _LINK.findall(prose(page))
    ]


def blocks_marked(page: Path, info: str) -> list[Block]:
    return [block for block in blocks(page) if block.info == info]


def test_printed_tables_are_those_of_the_code() -> None:
    printer = TOP / "scripts" / "print_reference.py"
    environ = os.environ | {"PYTHONPATH": str(TOP)}
    done = subprocess.run(
        [sys.executable, printer, "--check"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_is_documented() -> None:
    assert missing("reference/flags.md", (f"| `--{name}` |" for name in FLAGS)) == []


def test_every_kind_of_plugin_is_documented_with_its_keys_and_scripts() -> None:
    headings = [f"## {kind}" for kind in KINDS]
    keys = [f"| `{key}` |" for kind in KINDS.values() for key in kind.keys]
    scripts = [script for kind in KINDS.values() for script in kind.scripts.values()]
    given = [f"`{name}`" for script in scripts for name in script.given]
    returns = [script.returns for script in scripts]

    wanted = [*headings, *keys, *given, *returns, *UNSUPPORTED]
    assert missing("reference/plugins.md", wanted) == []


def test_every_name_that_scripts_see_is_documented() -> None:
    assert missing("reference/plugins.md", (f"| `{name}" for name in NAMES)) == []


def test_every_argument_of_callout_is_explained() -> None:
    names = list(inspect.signature(Callout.__call__).parameters)[1:]

    assert missing("reference/callout.md", (f"`{name}`" for name in names)) == []


def test_every_command_is_documented() -> None:
    assert missing("reference/cli.md", (f"| `qmonus-lite {name}" for name in COMMANDS)) == []


def test_every_problem_is_documented_where_its_type_leads() -> None:
    page, names = errors.PROBLEMS_PAGE, [kind.__name__ for kind in errors.PROBLEMS]
    found = anchors(TOP / page.removeprefix("/"))

    assert [kind.code for kind in errors.PROBLEMS if kind.code not in found] == []
    assert missing(page.removeprefix("/docs/"), (f"`{name}`" for name in names)) == []


def test_every_field_of_the_receipt_is_documented() -> None:
    assert missing("reference/http.md", (f"| `{field.name}` |" for field in fields(Receipt))) == []


def test_both_events_of_an_upload_are_documented() -> None:
    assert missing("reference/events.md", (f"## {name}" for name in (UPLOADING, UPLOADED))) == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("reference/events.md", f"at most {retry.FIRST_DELAY_SECONDS:g} s"),
        ("reference/events.md", f"up to {retry.MAX_DELAY_SECONDS:g} s"),
        ("explanation/events.md", f"up to {retry.FIRST_DELAY_SECONDS:g} s"),
        ("explanation/events.md", f"at most {retry.MAX_DELAY_SECONDS:g} s"),
        ("reference/events.md", f"At most {chain.MAX_DEPTH} events"),
        ("explanation/trust.md", f"Up to {shared.MAX_SCRIPT_THREADS} scripts"),
        ("explanation/trust.md", f"longer than {loading.MAX_LOAD_SECONDS:g} seconds"),
        ("reference/callout.md", f"good for {callout_pass.TTL_SECONDS} seconds"),
        ("reference/flags.md", f"at least {MIN_SECRET_LENGTH} characters"),
    ],
)
def test_a_number_in_the_prose_is_that_of_the_code(page: str, said: str) -> None:
    assert said in text(page)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = [
        f"{target}#{anchor}"
        for target, anchor in links(page)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]

    assert lost == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, to_visit = set[Path](), [TOP / "README.md"]
    while to_visit:
        page = to_visit.pop()
        reached.add(page)
        pages_linked = [target for target, _ in links(page) if target.suffix == ".md"]
        to_visit += [target for target in pages_linked if target not in reached]

    assert set(pages()) - reached == set()


def test_every_page_that_the_code_names_is_there() -> None:
    named = {
        name
        for path in (TOP / "qmonus_lite").rglob("*.py")
        for name in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8"))
    }

    assert [name for name in named if not (TOP / name).exists()] == []


@pytest.mark.parametrize(
    "page", [page for page in pages() if blocks_marked(page, "yaml")], ids=name_of
)
def test_every_plugin_shown_on_a_page_loads(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    for block in blocks_marked(page, "yaml"):
        (folder / f"line-{block.line}.yml").write_text(block.text, encoding="utf-8")

    given = Settings.of(base_dir=tmp_path)
    catalog = make_loader(given, Sealer(key=bytes(32)), callout=None).load()

    assert len(catalog.listed) >= len(blocks_marked(page, "yaml"))


@pytest.mark.parametrize(
    "page", [page for page in pages() if blocks_marked(page, "yaml settings")], ids=name_of
)
def test_every_settings_file_shown_on_a_page_can_be_used(page: Path, tmp_path: Path) -> None:
    for block in blocks_marked(page, "yaml settings"):
        file = tmp_path / "settings.yml"
        file.write_text(block.text, encoding="utf-8")
        resolve(flags={}, environ={}, file_values=read_values(file))


def test_every_shell_block_is_run_by_a_test_or_listed() -> None:
    not_run = {
        name_of(page)
        for page in pages()
        for block in blocks(page)
        if block.info.startswith("sh") and block.info not in {"sh run", "sh serve"}
    }

    assert not_run == set(NOT_RUN)


def test_a_decision_is_at_most_a_page() -> None:
    sizes = {path.name: len(path.read_text()) for path in (DOCS / "decisions").glob("*.md")}

    assert {name: size for name, size in sizes.items() if size > MAX_DECISION_CHARACTERS} == {}


def test_every_sample_says_what_it_is_for() -> None:
    samples = [*(TOP / "plugins").glob("*.yml"), *(DOCS / "examples").rglob("*.yml")]

    assert [path.name for path in samples if not path.read_text().startswith("# ")] == []


@pytest.mark.parametrize("folder", ["plugins", *(f"docs/examples/{n}" for n in ("s3", "forward"))])
def test_every_sample_stands_in_the_readme_beside_it(folder: str) -> None:
    said = (TOP / folder / "README.md").read_text(encoding="utf-8")

    names = [path.name for path in (TOP / folder).glob("*.yml")]
    assert [name for name in names if f"]({name})" not in said] == []
