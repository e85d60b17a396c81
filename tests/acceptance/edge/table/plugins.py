"""Plugin files that must not be taken over, and some that only look so."""

from tests.acceptance.edge.table.documents import FILES, ROUTE
from tests.acceptance.edge.table.row import Command, PluginFile

HANDLER = "name: bad\nevent: E\nscript: |-\n  {0}\n"
BODY = """\
- authorities: ["127.0.0.1:1"]
  proxy: {{path: /bad}}
  spec: [{{method: POST, schema: {{request: {{body: {0}}}}}}}]
"""
ROLE = "- name: bad\n  authorities: [{{regex: '{0}', methods: [GET]}}]\n"
ACCOUNT = "- {username: bad, roles: [no-such-role]}\n"
#: A name that another plugin of the installation has.
RECORDER = "a-recorder-of-APIGW.OnFileUploaded"

ROWS: list[PluginFile] = []


def bad(id: str, what: str, content: str | bytes, line: int | None, column: int | None) -> None:
    """A file with its first fault there."""
    raw = content.encode() if isinstance(content, str) else content
    ROWS.append(PluginFile(id=id, what=what, content=raw, place=(line, column)))


def handler(text: str) -> str:
    """A Lambda plugin with this script."""
    return HANDLER.format(text)


def doubled(before: str, name: str) -> str:
    """A list of the list before, twice."""
    return f"{name}: &{name} [*{before}, *{before}]\n"


bad("B132", "tag", "name: a\nvalues: {x: !!python/object/apply:os.system [id]}\n", 2, 13)
bad("B132", "aliases", "name: a\nvalues: {x: &x [1], y: [*x, *x]}\n", 2, 25)
bad("B132", "alias bomb", "a: &a [x]\n" + "".join(map(doubled, "abcdefgh", "bcdefghi")), 2, 8)
bad("B132", "duplicate keys", "name: a\nvalues: {}\nname: b\n", 3, 1)
bad("B132", "tabs", "name: a\nvalues:\n\tx: 1\n", 3, 1)
bad("B132", "300 braces", "{" * 300, 1, 101)
bad("B132", "20,000 brackets", "[" * 20_000, 1, 101)
bad("B132", "300 KiB", "#" * (300 << 10), 1, 1)
bad("B132", "no UTF-8", b"name: a\nvalues: {x: \xff}\n", 2, 1)
bad("B132", "half of a surrogate pair", handler("pass").replace("E", r'"\ud83d"', 1), 2, 8)
bad("B132", "no finite number", BODY.format("{default: .nan}"), 3, 51)
bad("B132", "two documents", "name: a\nvalues: {}\n---\nname: b\n", 3, 1)
bad("B133", "syntax", handler("async def f(event, handle) pass"), 4, 30)
bad("B133", "no function", handler("x = 1"), 4, 3)
bad("B133", "not async", handler("def f(event, handle): pass"), 4, 3)
bad("B133", "signature", handler("async def f(event): pass"), 4, 3)
bad("B133", "import", handler("import no_such_module\n  async def f(event, handle): pass"), 4, 3)
bad("B133", "200,000 minus", handler("x = " + "-" * 200_000 + "1"), 4, 3)
bad("B134", "no schema", BODY.format("{type: strong}"), 3, None)
bad("B134", "look-around", BODY.format("{pattern: '(?=a)b'}"), 3, None)
bad("B134", "remote $ref", BODY.format("{$ref: 'http://127.0.0.1:1/x'}"), 3, None)
bad("B134", "role, look-around", ROLE.format("/(?!a)"), 2, 18)
bad("B134", "role, large", ROLE.format("/(a{1000}){1000}"), 2, 18)
bad("B135", "duplicate name", handler("pass").replace("bad", RECORDER), 4, 3)
bad(
    "B135",
    "duplicate name, sound",
    handler("async def f(event, handle): pass").replace("bad", RECORDER),
    1,
    1,
)
bad("B135", "duplicate route", ROUTE, 2, 11)
bad("B135", "duplicate route, other names", FILES.replace("{a}", "{b}"), 2, 11)
bad("B135", "role that is missing", ACCOUNT, 1, None)


def taken(id: str, what: str, content: str) -> None:
    """A file that is taken."""
    ROWS.append(PluginFile(id=id, what=what, content=content.encode(), place=None))


# No file and no folder is named after a plugin.
taken("B135", "Config ../x", "name: ../x\nvalues: {}\n")
taken(
    "B135",
    "Lambda ../x",
    handler("async def f(event, handle): pass").replace("name: bad", "name: ../x"),
)
taken("B134", "a pattern that other engines choke on", ROLE.format("/upload/(a+)+$"))

COMMANDS = [
    Command(
        id="B135",
        what=f"account {name}",
        words=("account", "add", name, "--roles=admin"),
        says="expected letters, digits",
    )
    for name in ("../x", ".x")
]
