"""The commands of every page, typed in order, print what the page says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.process import TOP
from tests.docs.page import matches, pages, steps
from tests.docs.reader import Reader

FOLLOWED = [page for page in pages() if steps(page)]
CHANGES_THE_CODE = TOP / "docs" / "contributing.md"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader in front of a fresh checkout."""
    reader = Reader(tmp_path)
    yield reader
    reader.end()


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: str(page.relative_to(TOP)))
def test_a_page_does_what_it_says(page: Path, reader: Reader) -> None:
    if page == CHANGES_THE_CODE:
        reader.clone()
    for step in steps(page):
        reader.follow(step)


def test_the_pages_that_show_commands_are_followed() -> None:
    names = {str(page.relative_to(TOP)) for page in FOLLOWED}

    assert names >= {"README.md", "docs/tutorial-s3.md", "docs/operations.md"}
    assert "docs/contributing.md" in names
    assert names >= {f"docs/examples/{name}/README.md" for name in ("s3", "forward")}


def test_an_ellipsis_stands_for_anything() -> None:
    assert matches("a … c", "a b\nb c\n", whole=True)
    assert matches("a … c", "z a b c d", whole=False)


@pytest.mark.parametrize(("expected", "printed"), [("a.c", "abc"), ("a … c", "a b c d")])
def test_what_the_page_does_not_say_is_a_difference(expected: str, printed: str) -> None:
    assert not matches(expected, printed, whole=True)
