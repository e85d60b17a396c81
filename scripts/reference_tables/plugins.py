"""Tables of plugin kinds, rules of `check`, names of scripts, and the call of callout."""

import inspect

from qmonus_lite.catalog.kinds import KINDS, UNSUPPORTED, Kind
from qmonus_lite.catalog.lint.rules import rules as all_rules
from qmonus_lite.imported_on_use import OnUse
from qmonus_lite.scripting.builtins.callout import Callout
from qmonus_lite.scripting.builtins.names import NAMES
from reference_tables.markdown import code, table


def kinds() -> str:
    """Every kind of plugin: its shape, its keys, its scripts."""
    return "\n\n".join(map(_kind, KINDS.values()))


def unsupported() -> str:
    """Kinds of Qmonus SDK that are recognised and not run."""
    return table(
        ("kind of Qmonus SDK", "recognised by its keys"),
        ((name, ", ".join(map(code, keys))) for name, keys in UNSUPPORTED.items()),
    )


def rules() -> str:
    """Every rule of `check`."""
    return table(
        ("rule", "finds", "level", "changed in"),
        ((code(rule.id), rule.finds, rule.level, rule.changed) for rule in all_rules()),
    )


def names() -> str:
    """Every name that scripts find without importing it."""
    return table(
        ("name", "what it is"),
        ((code(_called(name)), entry.gloss) for name, entry in NAMES.items()),
    )


def callout() -> str:
    """The call of callout."""
    given = _parameters(inspect.signature(Callout.__call__)).split(", ")
    # In the quotes of the formatter, which reads the page too.
    lines = "".join(f"    {parameter},\n" for parameter in given).replace("'", '"')
    return f"```python\nawait callout(\n{lines})\n```"


def _kind(kind: Kind) -> str:
    keys = table(
        ("key", "needed", "meaning"),
        ((code(name), "yes" if key.required else "", key.gloss) for name, key in kind.keys.items()),
    )
    scripts = table(
        ("script", "gets, besides the names of every script", "may return"),
        (
            (code(name), ", ".join(map(code, script.given)), script.returns)
            for name, script in kind.scripts.items()
        ),
    )
    parts = [f"## {kind.name}", f"Recognised by its shape: {kind.shape}.", keys]
    return "\n\n".join([*parts, scripts] if kind.scripts else parts)


def _called(name: str) -> str:
    value = NAMES[name].value
    if isinstance(value, OnUse):
        value = value.imported()
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
