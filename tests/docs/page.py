"""A page of the documentation as tests read it: its blocks, and the steps that a reader types."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.process import TOP

_MARK = re.compile(
    r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$|^<!-- stop: (?P<stop>[0-9]+) -->$",
    re.MULTILINE | re.DOTALL,
)
#: What a block after a command is called when it shows what the command prints.
_SHOWS = {"text", "json"}


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block, or the mark `<!-- stop: N -->` between blocks."""

    #: What stands behind the fence, such as `sh run`; `stop` for the mark.
    info: str
    text: str
    #: Line of the page, from 1.
    line: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that a reader does, and what the page says to expect."""

    #: `run` (type it and wait), `serve` (a terminal of its own), `stop` (Ctrl-C, by its number).
    kind: str
    text: str
    #: What is printed, `…` for anything; None when the page does not say.
    expected: str | None
    line: int


def pages() -> list[Path]:
    """Every page: the README and what stands in the folders of documentation and samples."""
    found = [*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "plugins").rglob("*.md")]
    return sorted([*found, *(TOP / "scripts").glob("*.md")])


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            info="stop" if found["stop"] else found["info"],
            text=found["stop"] or found["text"],
            line=text.count("\n", 0, found.start()) + 1,
        )
        for found in _MARK.finditer(text)
    ]


def steps(page: Path) -> list[Step]:
    """What a reader of this page does."""
    found = blocks(page)
    following = [*found, Block(info="", text="", line=0)][1:]
    kinds = {"sh run": "run", "sh serve": "serve", "stop": "stop"}
    return [
        Step(
            kind=kinds[block.info],
            text=block.text,
            expected=after.text if after.info in _SHOWS and block.info != "stop" else None,
            line=block.line,
        )
        for block, after in zip(found, following, strict=True)
        if block.info in kinds
    ]


def matches(expected: str, printed: str, *, whole: bool) -> bool:
    """Whether this was printed: all of it, or somewhere in it."""
    pattern = ".*?".join(map(re.escape, expected.strip().split("…")))
    search = re.fullmatch if whole else re.search
    return search(pattern, printed.strip(), re.DOTALL) is not None
