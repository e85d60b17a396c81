"""Scripts as they stand in a plugin file, compiled."""

from qmonus_lite.scripting.builtins.names import granted
from qmonus_lite.scripting.compiler import BadScript, Script, compile_body, compile_handler
from qmonus_lite.scripting.origin import Origin

FILE = "plugins/sample.yml"
#: The script's first line is line 5 of its file, indented by 4.
ORIGIN = Origin(file=FILE, line=5, indent=4, label="sample.script")
HOOK = Origin(file=FILE, line=5, indent=4, label="/v1/x.request_forbidden_process")

NAMES = granted(callout=None, options=None)


def handler(text: str) -> Script:
    return compile_handler(text, ORIGIN, NAMES)


def body(text: str) -> Script:
    return compile_body(text, HOOK, NAMES, ["request", "resources"])


def faults(text: str, *, as_body: bool = False) -> list[str]:
    """What is wrong with a script, one `line:column: message` a fault."""
    try:
        body(text) if as_body else handler(text)
    except BadScript as error:
        return [f"{fault.line}:{fault.column}: {fault.message}" for fault in error.faults]
    return []
