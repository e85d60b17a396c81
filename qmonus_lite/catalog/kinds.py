"""The plugin contract: every kind of file, its structure, keys, and script parameters and results.

The kind of a file is detected by its structure. The reference page of plugin kinds is generated
from this module.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from qmonus_lite.schema import Schema
from qmonus_lite.values import Value

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT}
_SCHEME = {"enum": ["http", "https", "http:", "https:"]}
_HOOK = ("request", "route", "resources", "parameters", "session", "finish")


class Key(Value, frozen=True, kw_only=True):
    """One key of a plugin file."""

    gloss: str
    #: JSON Schema of its value.
    schema: Mapping[str, Any]
    required: bool = False


class ScriptKey(Value, frozen=True, kw_only=True):
    """A key that holds a script."""

    #: Parameters of the script's function.
    given: tuple[str, ...]
    #: Allowed return values.
    returns: str


class Kind(Value, frozen=True, kw_only=True):
    """One kind of plugin."""

    name: str
    #: How its files are distinguished from others, as text for users.
    shape: str
    #: True if a file is a list of such entries.
    listed: bool
    keys: Mapping[str, Key]
    scripts: Mapping[str, ScriptKey]

    def schema(self) -> Schema:
        """The JSON Schema of one entry; unknown keys are allowed."""
        return Schema(
            {
                "type": "object",
                "properties": {name: dict(key.schema) for name, key in self.keys.items()},
                "required": [name for name, key in self.keys.items() if key.required],
            }
        )


def _parts(*names: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "object"} for name in names}}


LAMBDA = Kind(
    name="Lambda",
    shape="a mapping with `event` and `script`",
    listed=False,
    keys={
        "name": Key(gloss="unique among Lambda plugins", schema=_TEXT, required=True),
        "event": Key(gloss="name of the event it handles", schema=_TEXT, required=True),
        "script": Key(
            gloss="exactly one `async def NAME(event, handle)`, any name; helpers beside it",
            schema=_TEXT,
            required=True,
        ),
        "success": Key(gloss="event that follows a normal end", schema=_TEXT),
        "failure": Key(gloss="event that follows an exception", schema=_TEXT),
        "timeout": Key(
            gloss="seconds one run may take", schema={"type": "number", "exclusiveMinimum": 0}
        ),
        "keep_headers": Key(
            gloss="names of credential headers that its stored events carry unmasked",
            schema=_TEXTS,
        ),
    },
    scripts={
        "script": ScriptKey(
            given=("event", "handle"),
            returns=(
                "nothing; `handle.terminate(code=200, output=None, headers=None)` ends the chain"
            ),
        )
    },
)

CONFIG = Kind(
    name="Config",
    shape="a mapping with `values`",
    listed=False,
    keys={
        "name": Key(gloss="what `get_service_config` asks for", schema=_TEXT, required=True),
        "values": Key(
            gloss="the values, nested at will; `!env NAME` and `!sealed TEXT` are opened at use",
            schema={"type": "object"},
            required=True,
        ),
    },
    scripts={},
)

ROUTING = Kind(
    name="Routing",
    shape="a list of mappings with `proxy`",
    listed=True,
    keys={
        "authorities": Key(
            gloss="`host[:port]` of the backends, tried in turn", schema=_TEXTS, required=True
        ),
        "proxy": Key(
            gloss="the public side: `path` template, `scheme`, `authorization.auth_mode` "
            "(`axis`: an account is needed; `none`: open to all)",
            schema={
                "type": "object",
                "required": ["path"],
                "properties": {
                    "path": _TEXT,
                    "scheme": _SCHEME,
                    "authorization": {
                        "type": "object",
                        "properties": {"auth_mode": {"enum": ["axis", "none"]}},
                    },
                },
            },
            required=True,
        ),
        "target": Key(
            gloss="the backend side: `path` template (default: that of `proxy`) and `scheme`",
            schema={"type": "object", "properties": {"path": _TEXT, "scheme": _SCHEME}},
        ),
        "request_forbidden_process": Key(gloss="script that sees the request", schema=_TEXT),
        "response_forbidden_process": Key(gloss="script that sees the answer", schema=_TEXT),
        "timeout": Key(
            gloss="seconds that one run of a script may take (default `--route_script_timeout`)",
            schema={"type": "number", "exclusiveMinimum": 0},
        ),
        "spec": Key(
            gloss="per method: `command`, `usage`, JSON Schemas and normal codes",
            schema={
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["method"],
                    "properties": {
                        "method": _TEXT,
                        "command": {"type": "string"},
                        "usage": {"type": "string"},
                        "schema": {
                            "type": "object",
                            "properties": {
                                "request": _parts("headers", "params", "resources", "body"),
                                "response": {
                                    "type": "object",
                                    "properties": {
                                        "normal": {
                                            "type": "object",
                                            "properties": {
                                                "codes": {
                                                    "type": "array",
                                                    "items": {"type": "integer"},
                                                }
                                            },
                                        }
                                    },
                                },
                            },
                        },
                    },
                },
            },
        ),
    },
    scripts={
        "request_forbidden_process": ScriptKey(
            given=_HOOK,
            returns="a dict, list or str (200), `(code, body)`, `(code, body, headers)`, or"
            " nothing: the request goes on",
        ),
        "response_forbidden_process": ScriptKey(
            given=(*_HOOK, "response"),
            returns="as above, or nothing: the answer goes on, with what was changed in `response`",
        ),
    },
)

ROLE = Kind(
    name="Role",
    shape="a list of mappings with `name` and `authorities` of `regex` and `methods`",
    listed=True,
    keys={
        "name": Key(gloss="what accounts call it", schema=_TEXT, required=True),
        "authorities": Key(
            gloss="list of `regex`, matched from the start of the request path (no look-around, no"
            " back-references), and `methods`",
            schema={
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["regex", "methods"],
                    "properties": {"regex": _TEXT, "methods": _TEXTS},
                },
            },
            required=True,
        ),
        "static_routing": Key(
            gloss="whether `X-Xaas-Static-Routing` may replace a backend",
            schema={"type": "boolean"},
        ),
    },
    scripts={},
)

ACCOUNT = Kind(
    name="Account",
    shape="a list of mappings with `username`",
    listed=True,
    keys={
        "username": Key(gloss="unique among accounts", schema=_TEXT, required=True),
        "roles": Key(gloss="names of roles", schema=_TEXTS),
        "role": Key(gloss="the name of one role, in place of `roles`", schema=_TEXT),
        "api_key_hash": Key(
            gloss="`sha256:` and 64 hexadecimal digits, as `account add` writes it",
            schema={"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        ),
        "previous_api_key_hash": Key(
            gloss="the same of the key before, which is good too until `account retire`",
            schema={"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        ),
        "expire_days": Key(
            gloss="days after `created_at` on which the account ends",
            schema={"type": "number", "exclusiveMinimum": 0},
        ),
        "created_at": Key(gloss="ISO 8601 moment", schema=_TEXT),
    },
    scripts={},
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (LAMBDA, CONFIG, ROUTING, ROLE, ACCOUNT)}

#: Kinds of Qmonus SDK that are recognized and not run: name -> keys that identify them.
UNSUPPORTED: Mapping[str, tuple[str, ...]] = {
    "Scenario": ("commands", "uri"),
    "Daemon": ("commands", "action"),
    "Class": ("attributes", "methods"),
    "Module": ("code", "name"),
    "Job": ("topics", "script"),
    "Testcase": ("target", "assertion"),
    "Testsuite": ("suites",),
    "Template": ("template", "name"),
    "Counter": ("counter_name",),
}


def detect_kind(value: object) -> Kind | str | None:
    """The kind of a file's content; a str is the name of an unsupported Qmonus kind."""
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return _of_entry(value[0])
    return None


def _of_mapping(value: Mapping[str, object]) -> Kind | str | None:
    if "event" in value and "script" in value:
        return LAMBDA
    if "values" in value:
        return CONFIG
    for name, keys in UNSUPPORTED.items():
        if all(key in value for key in keys):
            return name
    return LAMBDA if "event" in value or "script" in value else None


def _of_entry(entry: object) -> Kind | None:
    if not isinstance(entry, Mapping):
        return None
    if "proxy" in entry:
        return ROUTING
    if "username" in entry:
        return ACCOUNT
    return ROLE if "name" in entry and "authorities" in entry else None
