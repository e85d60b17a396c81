"""Markdown tables, code spans and summaries of docstrings."""

import inspect
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def code(text: str) -> str:
    """A code span; empty for an empty text."""
    return f"`{text}`" if text else ""


def summary(documented: object) -> str:
    """First line of a docstring, without its full stop."""
    return (inspect.getdoc(documented) or "").partition("\n")[0].removesuffix(".")


def _cell(text: str) -> str:
    parts = text.replace("|", "\\|").replace("\n", " ").split("`")
    # Outside of code, an angle bracket would begin a tag.
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)
