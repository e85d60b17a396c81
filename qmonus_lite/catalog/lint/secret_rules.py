"""Rules for secrets: in clear in files, read by nothing, or written to the log."""

import ast
import re
from collections.abc import Iterator

from qmonus_lite.catalog.document import Pointer
from qmonus_lite.catalog.lint.linted_plugins import LintedPlugin, LintedPlugins
from qmonus_lite.catalog.lint.script import ScriptView, called, constant_text
from qmonus_lite.catalog.lint.warning import Hit

Found = tuple[LintedPlugin, Hit]

#: Last words of keys that hold a secret.
_SECRET = re.compile(
    r"(?:^|[_.-])(?:password|passwd|passphrase|secret|token"
    r"|(?:api|access|secret|private|encryption|signing)_?key)$"
)
#: What a name `key` holds if it is a secret: long, with digits and both cases, without a path.
_KEY_MATERIAL = re.compile(r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9+/=_-]{20,}")
#: Functions whose result shows all of the mapping that they are given.
_SHOWING = frozenset({"dict", "repr", "str", "json.dumps"})
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LOGGING = frozenset("debug info warning warn error exception critical log".split())
#: Keys of accounts of other products.
_PASSWORDS = frozenset({"password", "passwd", "secret", "api_key", "token"})


def account_password(plugins: LintedPlugins) -> Iterator[Found]:
    """A password of an account, which nothing reads."""
    for plugin in plugins.of("Account"):
        for key in sorted(_PASSWORDS & plugin.value.keys()):
            message = f"{key} is not read: accounts have API keys, which 'qmonus-lite account add'"
            message += " makes, and their file holds a hash only; remove it"
            yield plugin, Hit(message=message, pointer=plugin.at(key))


def secret_in_clear(plugins: LintedPlugins) -> Iterator[Found]:
    """A value of a Config plugin that is plain text, under a key that says it is a secret."""
    for plugin in plugins.of("Config"):
        for pointer in _secrets(plugin.value["values"], ("values",)):
            message = f"{'.'.join(map(str, pointer))} looks like a secret and stands here in clear;"
            message += " write '!env NAME', or seal it with 'qmonus-lite config seal'"
            yield plugin, Hit(message=message, pointer=plugin.at(*pointer))


def _secrets(value: object, pointer: Pointer) -> Iterator[Pointer]:
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from _secrets(part, (*pointer, index))
    elif isinstance(value, dict):
        for key, part in value.items():
            if isinstance(part, str) and part and _is_secret(key):
                yield (*pointer, key)
            yield from _secrets(part, (*pointer, key))


def _is_secret(key: str) -> bool:
    return _SECRET.search(_CAPITAL.sub("_", key).lower()) is not None


def secret_in_script(script: ScriptView) -> Iterator[Hit]:
    """A constant text under a name that says it is a secret."""
    for node in script.all(ast.Assign):
        text = constant_text(node.value)
        for target in node.targets if text and " " not in text else ():
            name = target.id if isinstance(target, ast.Name) else ""
            is_key = name.lower() == "key" and _KEY_MATERIAL.fullmatch(text or "")
            if is_key or _is_secret(name):
                message = (
                    f"{name} looks like a secret and stands here in clear; keep it in a Config"
                )
                message += " plugin, sealed or as '!env NAME', and read it by get_service_config"
                yield Hit(message=message, node=node)


def logged_headers(script: ScriptView) -> Iterator[Hit]:
    """All headers of a request in a log record, with the credentials among them."""
    if "headers" not in script.text:
        return
    for call in script.all(ast.Call):
        owner, _, method = called(call).rpartition(".")
        if owner in {"logger", "logging"} and method in _LOGGING:
            for node in _parts(call):
                message = f"'{ast.unparse(node)}' has the client's credentials; log the fields that"
                message += " are needed"
                yield Hit(message=message, node=node)


def _parts(call: ast.Call) -> Iterator[ast.expr]:
    """Arguments, and parts of f-strings in arguments, that are all headers of a request."""
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    for given in arguments:
        parts = given.values if isinstance(given, ast.JoinedStr) else [given]
        for part in parts:
            node = part.value if isinstance(part, ast.FormattedValue) else part
            if _is_all_headers(node):
                yield node


def _is_all_headers(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and called(node) in _SHOWING and node.args:
        return _is_all_headers(node.args[0])
    if isinstance(node, ast.Subscript):
        return _is_named(node.value, "event") and constant_text(node.slice) == "headers"
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "headers"
        and (_is_named(node.value, "event") or _is_named(node.value, "request"))
    )


def _is_named(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
