"""Prints the tables of the reference pages from the code's own tables; scripts/docs calls it.

A printed part stands between `<!-- printed: NAME -->` and `<!-- end -->`. With --check nothing is
written: the status is 1 when a page lags, and the difference is shown.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reference_tables import endpoints, limits, logs, plugins, problems, settings, storage

TOP = Path(__file__).parents[1]
PART = re.compile(r"(<!-- printed: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

#: Printed parts by the name in their mark.
PARTS: Mapping[str, Callable[[], str]] = {
    part.__name__: part
    for part in (
        settings.settings,
        settings.secrets,
        settings.options,
        settings.commands,
        plugins.kinds,
        plugins.unsupported,
        plugins.rules,
        plugins.names,
        plugins.callout,
        problems.problems,
        problems.remedies,
        problems.refusals,
        endpoints.endpoints,
        endpoints.receipt,
        storage.disk,
        storage.lifecycle,
        limits.limits,
        logs.log_fields,
    )
}


def printed(text: str) -> str:
    """The page with its printed parts anew; raises KeyError for a part that there is not."""
    return PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}\n{found[3]}", text)


def pages() -> list[Path]:
    """Every page that may have printed parts."""
    return [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]


def main(arguments: Sequence[str]) -> int:
    """Print the pages anew, or check them."""
    parser = argparse.ArgumentParser(prog="scripts/docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, show what lags")
    checks = parser.parse_args(arguments).check
    lagging = 0
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = printed(before)
        if before == after:
            continue
        lagging += 1
        name = str(page.relative_to(TOP))
        if checks:
            lines = before.splitlines(keepends=True), after.splitlines(keepends=True)
            sys.stdout.writelines(difflib.unified_diff(*lines, name, "printed from the code"))
        else:
            page.write_text(after, encoding="utf-8")
            print(f"scripts/docs: printed {name}")
    if checks and lagging:
        print("scripts/docs: pages lag behind the code; run scripts/docs and read the difference")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
