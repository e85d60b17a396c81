"""The patches in the page on contributing, tried on a copy of the package and a gateway of it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.curl import Answer
from tests.acceptance.harness import Installation
from tests.acceptance.process import TOP
from tests.docs.page import blocks

PAGE = TOP / "docs" / "contributing.md"
SIZES = (0, 1_000, 60_000, 300_000)
#: Arguments of curl, which has the body in a file and on its standard input.
WAYS = {
    "curl -T": ("-T", "{file}"),
    "Expect": ("-H", "Expect: 100-continue", "-T", "{file}"),
    "no Expect": ("-H", "Expect:", "-X", "PUT", "--data-binary", "@{file}"),
    "chunked": ("-T", "-"),
}


def patch(place: Path, path: str) -> None:
    """A copy of the package with the page's patch of this module, which touches no other."""
    (text,) = [
        block.text
        for block in blocks(PAGE)
        if block.info == "diff" and f"+++ b/{path}\n" in block.text
    ]
    assert text.count("+++ ") == 1
    shutil.copytree(
        TOP / "qmonus_lite", place / "qmonus_lite", ignore=shutil.ignore_patterns("__pycache__")
    )
    (place / "recipe.patch").write_text(text, encoding="utf-8")
    subprocess.run(["git", "apply", "recipe.patch"], cwd=place, check=True)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An installation of the patched package."""
    installation = Installation(tmp_path / "installation")
    installation.environ["PYTHONPATH"] = str(tmp_path / "copy")
    yield installation
    installation.end()


def by_every_way(installation: Installation, *arguments: str) -> dict[tuple[str, int], Answer]:
    """The answers to files of each size, sent by each way."""
    token = installation.token
    answers = {}
    for size in SIZES:
        content = b"x" * size
        file = str(installation.file(f"{size}", content))
        for way, given in WAYS.items():
            sent = [argument.format(file=file) for argument in given]
            path = f"/upload/{way.replace(' ', '-')}-{size}"
            answers[way, size] = installation.curl(
                path, *sent, *arguments, token=token, stdin=content
            )
    return answers


def test_a_header_of_every_201_is_added_in_one_module(
    installation: Installation, tmp_path: Path
) -> None:
    patch(tmp_path / "copy", "qmonus_lite/apigw/protocols/put.py")
    installation.up()

    for case, answer in by_every_way(installation).items():
        assert answer.status == 201, (case, answer)
        assert answer.headers["x-upload-id"] == answer.json["upload_id"], case


def test_a_rule_that_refuses_is_added_in_one_module(
    installation: Installation, tmp_path: Path
) -> None:
    patch(tmp_path / "copy", "qmonus_lite/http/framing.py")
    installation.up()

    for case, answer in by_every_way(installation, "-H", "X-Evil: 1").items():
        assert (answer.status, answer.json["code"]) == (400, "invalid-framing"), case
        assert answer.json["detail"] == "X-Evil was given"
    assert installation.stored() == []
    for case, answer in by_every_way(installation).items():
        assert answer.status == 201, case
