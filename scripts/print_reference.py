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
from dataclasses import fields
from pathlib import Path

from print_limits import limits

from qmonus_lite import errors
from qmonus_lite.apigw.endpoint import Endpoint
from qmonus_lite.apigw.endpoints import ADMIN, UPLOAD
from qmonus_lite.apigw.json_values import descriptions
from qmonus_lite.apigw.openapi import problems_of
from qmonus_lite.apigw.upload_rules import ALL_RULES
from qmonus_lite.catalog.kinds import KINDS, UNSUPPORTED, Kind
from qmonus_lite.catalog.lint.rules import rules as all_rules
from qmonus_lite.cli import help
from qmonus_lite.cli.commands import COMMANDS
from qmonus_lite.scripting.builtins.callout import Callout
from qmonus_lite.scripting.builtins.names import NAMES
from qmonus_lite.scripting.options import OPTIONS
from qmonus_lite.settings.table import FLAGS, SECRETS
from qmonus_lite.stores.file import disk_errors
from qmonus_lite.uploads.lifecycle import TRANSITIONS, UploadState, UploadTransition
from qmonus_lite.uploads.receipt import Receipt

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
    parts = [f"## {kind.name}", f"Recognised by its shape: {kind.shape}.", keys]
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
        ((_code(rule.id), rule.finds, rule.level, rule.changed) for rule in all_rules()),
    )


def names() -> str:
    """Every name that scripts find without importing it."""
    return table(
        ("name", "what it is"),
        ((_code(_called(name)), entry.gloss) for name, entry in NAMES.items()),
    )


def _called(name: str) -> str:
    value = NAMES[name].value
    module = getattr(value, "__module__", "")
    has_signature = module.startswith("qmonus_lite.") and callable(value)
    return f"{name}({_parameters(inspect.signature(value))})" if has_signature else name


def _parameters(signature: inspect.Signature) -> str:
    bare = (
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    )
    return ", ".join(map(str, bare))


def callout() -> str:
    """The call of callout."""
    given = _parameters(inspect.signature(Callout.__call__)).split(", ")
    # In the quotes of the formatter, which reads the page too.
    lines = "".join(f"    {parameter},\n" for parameter in given).replace("'", '"')
    return f"```python\nawait callout(\n{lines})\n```"


def problems() -> str:
    """Every code of a problem, with its status."""
    return table(
        ("code", "status", "when"),
        (
            (f"[`{error.code}`](#{error.code})", _status(error), _first(error))
            for error in errors.PROBLEMS
        ),
    )


def remedies() -> str:
    """A section for every code of a problem: what `type` leads to."""
    return "\n\n".join(
        f"### {error.code}\n\nStatus: {_status(error)} (`{error.__name__}`). {_first(error)}.\n\n"
        f"What to do: {error.remedy}."
        for error in errors.PROBLEMS
    )


def _status(error: type[errors.Problem]) -> str:
    if error in {errors.Problem, errors.RefusedByScript}:
        return "any"
    return str(int(error.status))


def refusals() -> str:
    """Every rule that requests have to pass, in order."""
    return table(
        ("stage", "rule", "refuses", "status and code"),
        (
            (
                rule.stage.value,
                rule.name,
                rule.refuses,
                ", ".join(f"{int(problem.status)} {_codes([problem])}" for problem in rule.problems)
                or "as given",
            )
            for rule in ALL_RULES
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


def _places(where: Sequence[disk_errors.FailedObject]) -> str:
    if set(where) == set(disk_errors.FailedObject):
        return "anything"
    return ", ".join(location.value for location in where)


def lifecycle() -> str:
    """What can become of an upload: one row a state, one column a transition."""
    return table(
        ("state", *UploadTransition),
        (
            (
                f"**{state}**",
                *(TRANSITIONS.get((state, transition), "") for transition in UploadTransition),
            )
            for state in UploadState
        ),
    )


def endpoints() -> str:
    """Every endpoint of the gateway itself, from the table that requests are dispatched by."""
    return table(
        ("endpoint", "what it is for", "credential", "answers", "refusals besides those of all"),
        (
            (
                _code(f"{operation.method} {endpoint.path}{_query(endpoint)}"),
                operation.summary,
                endpoint.access.value,
                ", ".join(f"{answer.status} {answer.description}" for answer in operation.answers),
                _codes(problems_of(endpoint, operation)),
            )
            for endpoint in (UPLOAD, *ADMIN)
            for operation in endpoint.operations
        ),
    )


def _query(endpoint: Endpoint) -> str:
    names = [entry.name for entry in endpoint.parameters if entry.location == "query"]
    return "?" + "&".join(f"{name}=" for name in names) if names else ""


def _codes(problems: Sequence[type[errors.Problem]]) -> str:
    ordered = sorted(problems, key=lambda problem: problem.status)
    return ", ".join(f"[{problem.code}](problems.md#{problem.code})" for problem in ordered)


def receipt() -> str:
    """The fields of the receipt of an upload."""
    described = descriptions(Receipt)
    return table(
        ("field", "meaning"),
        ((_code(entry.name), described[entry.name].removesuffix(".")) for entry in fields(Receipt)),
    )


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
        remedies,
        refusals,
        endpoints,
        receipt,
        disk,
        lifecycle,
        limits,
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
