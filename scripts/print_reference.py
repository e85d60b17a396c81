"""Prints the tables of the reference pages from the code's own tables; scripts/docs calls it.

A printed part stands between `<!-- printed: NAME -->` and `<!-- end -->`. With --check nothing is
written: the status is 1 when a page lags, and the difference is shown.
"""

import argparse
import difflib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from qmonus_lite import errors
from qmonus_lite.apigw import app
from qmonus_lite.catalog.kinds import KINDS, UNSUPPORTED, Kind
from qmonus_lite.catalog.lint.rules import rules as all_rules
from qmonus_lite.cli import help
from qmonus_lite.cli.main import COMMANDS
from qmonus_lite.scripting.builtins.callout import Callout
from qmonus_lite.scripting.builtins.names import NAMES
from qmonus_lite.scripting.options import OPTIONS
from qmonus_lite.settings.table import FLAGS, SECRETS
from qmonus_lite.uploads import disk_errors

TOP = Path(__file__).parents[1]
PART = re.compile(r"(<!-- printed: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    parts = text.replace("|", "\\|").replace("\n", " ").split("`")
    # Outside of code, an angle bracket would begin a tag.
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def settings() -> str:
    """Every flag."""
    return table(
        ("flag", "default", "meaning", "example"),
        (
            (
                _code(f"--{name}"),
                _code(help.default_text(setting.default)),
                setting.help,
                _code(setting.example),
            )
            for name, setting in FLAGS.items()
        ),
    )


def secrets() -> str:
    """Every setting that is no flag, since it is secret."""
    return table(
        ("variable", "meaning", "read without it"),
        (
            (_code(setting.variable), setting.help, setting.other_source)
            for setting in SECRETS.values()
        ),
    )


def options() -> str:
    """Every setting that scripts see."""
    return table(
        ("attribute", "meaning"),
        ((_code(f"options.{name}"), option.gloss) for name, option in OPTIONS.items()),
    )


def commands() -> str:
    """Every command, and its page of --help where that is no repetition of all flags."""
    rows = table(
        ("command", "what it does"),
        (
            (_code(f"qmonus-lite {name} {command.usage}".strip()), command.summary)
            for name, command in COMMANDS.items()
        ),
    )
    pages = [
        f"### {name}\n\n```text\n{help.page(name, command)}\n```"
        for name, command in COMMANDS.items()
        if command.flags is not None
    ]
    return "\n\n".join([rows, *pages])


def kinds() -> str:
    """Every kind of plugin: its shape, its keys, its scripts."""
    return "\n\n".join(map(_kind, KINDS.values()))


def _kind(kind: Kind) -> str:
    keys = table(
        ("key", "needed", "meaning"),
        (
            (_code(name), "yes" if key.required else "", key.gloss)
            for name, key in kind.keys.items()
        ),
    )
    scripts = table(
        ("script", "gets, besides the names of every script", "may return"),
        (
            (_code(name), ", ".join(map(_code, script.given)), script.returns)
            for name, script in kind.scripts.items()
        ),
    )
    parts = [f"## {kind.name}", f"Told by its shape: {kind.shape}.", keys]
    return "\n\n".join([*parts, scripts] if kind.scripts else parts)


def unsupported() -> str:
    """Kinds of Qmonus SDK that are recognised and not run."""
    return table(
        ("kind of Qmonus SDK", "recognised by its keys"),
        ((name, ", ".join(map(_code, keys))) for name, keys in UNSUPPORTED.items()),
    )


def rules() -> str:
    """Every rule of `check`."""
    return table(
        ("rule", "finds", "level", "changed in"),
        ((_code(one.id), one.finds, one.level, one.changed) for one in all_rules()),
    )


def names() -> str:
    """Every name that scripts find without importing it."""
    return table(
        ("name", "what it is"),
        ((_code(_called(name)), entry.gloss) for name, entry in NAMES.items()),
    )


def _called(name: str) -> str:
    value = NAMES[name].value
    ours = getattr(value, "__module__", "").startswith("qmonus_lite.") and callable(value)
    return f"{name}({_parameters(inspect.signature(value))})" if ours else name


def _parameters(signature: inspect.Signature) -> str:
    bare = (
        one.replace(annotation=inspect.Parameter.empty)
        for one in signature.parameters.values()
        if one.name != "self"
    )
    return ", ".join(map(str, bare))


def callout() -> str:
    """The call of callout."""
    given = _parameters(inspect.signature(Callout.__call__)).split(", ")
    # In the quotes of the formatter, which reads the page too.
    lines = "".join(f"    {one},\n" for one in given).replace("'", '"')
    return f"```python\nawait callout(\n{lines})\n```"


def problems() -> str:
    """Every error that is an answer, by its status."""
    found = [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.Problem) and value != errors.Problem
    ]
    return table(
        ("status", "error", "when"),
        (
            (
                f"{int(error.status)} {HTTPStatus(error.status).phrase}",
                _code(error.__name__),
                _first(error),
            )
            for error in sorted(found, key=lambda error: error.status)
        ),
    )


def disk() -> str:
    """What each error of the disk becomes: the table that the code goes by."""
    rows = (*disk_errors.RULES, disk_errors.UNKNOWN)
    return table(
        ("error", "of", "answer", "counts towards readiness"),
        (
            (
                ", ".join(_code(disk_errors.name_of(code)) for code in rule.codes) or "any other",
                _places(rule.where),
                f"{int(rule.problem.status)} {rule.detail}",
                "yes" if rule.failing else "no",
            )
            for rule in rows
        ),
    )


def _places(where: Sequence[disk_errors.ErrorPlace]) -> str:
    if set(where) == set(disk_errors.ErrorPlace):
        return "anything"
    return ", ".join(place.value for place in where)


def doors() -> str:
    """The endpoints under `/-/`."""
    rows = sorted(
        (f"`{method} {resource.path}{resource.query}`", resource.summary)
        for resource in app.ADMIN
        for method in resource.handlers
    )
    return table(("door", "what it is for"), rows)


def _first(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0].removesuffix(".")


PARTS: Mapping[str, Callable[[], str]] = {
    part.__name__: part
    for part in (
        settings,
        secrets,
        options,
        commands,
        kinds,
        unsupported,
        rules,
        names,
        callout,
        problems,
        doors,
        disk,
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
    parser.add_argument("--check", action="store_true", help="change nothing, say what lags")
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
            sys.stdout.writelines(difflib.unified_diff(*lines, name, "what the code says"))
        else:
            page.write_text(after, encoding="utf-8")
            print(f"scripts/docs: printed {name}")
    if checks and lagging:
        print("scripts/docs: pages lag behind the code; run scripts/docs and read the difference")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
