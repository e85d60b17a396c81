"""Rules for unused keys: misspelt ones below the top level, and in JSON Schemas of routes."""

from collections.abc import Iterator, Mapping
from typing import Any

from qmonus_lite.catalog.document import Pointer
from qmonus_lite.catalog.kinds import KINDS
from qmonus_lite.catalog.lint.linted_plugins import LintedPlugin, LintedPlugins, near
from qmonus_lite.catalog.lint.warning import Hit

Found = tuple[LintedPlugin, Hit]

#: Keywords of JSON Schema whose value is a schema, a list of schemas, or a mapping to schemas.
_ONE = frozenset(
    """
    items additionalItems additionalProperties not if then else contains propertyNames
    unevaluatedItems unevaluatedProperties contentSchema
    """.split()
)
_SEVERAL = frozenset("allOf anyOf oneOf prefixItems items".split())
_NAMED = frozenset("properties patternProperties $defs definitions dependentSchemas".split())
_OTHERS = frozenset(
    """
    $schema $id id $ref $anchor $dynamicRef $dynamicAnchor $recursiveRef $recursiveAnchor
    $vocabulary $comment title description default deprecated readOnly writeOnly examples
    type enum const multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength
    minLength pattern maxItems minItems uniqueItems maxContains minContains maxProperties
    minProperties required dependentRequired dependencies format contentEncoding contentMediaType
    """.split()
)
_KEYWORDS = _ONE | _SEVERAL | _NAMED | _OTHERS
#: Addresses that mean every address of the machine.
_UNSPECIFIED = ("0.0.0.0", "[::]")
#: Values of `format` that are checked.
_FORMATS = frozenset(
    """
    date-time date time duration email idn-email hostname idn-hostname ipv4 ipv6 uri uri-reference
    iri iri-reference uuid uri-template json-pointer relative-json-pointer regex
    """.split()
)
#: Values of `format` of OpenAPI, which are not checked.
_FORMATS_OF_OPENAPI = frozenset("int32 int64 float double byte binary password".split())
#: Keywords of OpenAPI, which are harmless.
_OF_OPENAPI = frozenset("example nullable discriminator xml externalDocs".split())
#: Valid Qmonus keys that resemble a qmonus_lite key.
_OF_QMONUS = frozenset({"abnormal"})
#: Keywords that may describe the properties named by `required` elsewhere.
_ELSEWHERE = frozenset(
    "patternProperties allOf anyOf oneOf if not $ref $dynamicRef dependentSchemas".split()
)


def unknown_key(plugins: LintedPlugins) -> Iterator[Found]:
    """An unknown key below the top level."""
    for plugin in plugins.plugins:
        kind = KINDS.get(plugin.kind)
        for name, key in kind.keys.items() if kind else ():
            for pointer, known in _unknown(key.schema, plugin.value.get(name), (name,)):
                # Qmonus's own keys for answers are ignored unless they resemble a known key.
                hint = near(str(pointer[-1]), known) or _elsewhere(kind, pointer)
                if pointer[-1] not in _OF_QMONUS and (hint or "response" not in pointer):
                    hint = hint or f"; known are {', '.join(sorted(known))}"
                    where = ".".join(map(str, pointer))
                    message = f"{where} is no key that anything reads, so it has no effect{hint}"
                    yield plugin, Hit(message=message, pointer=plugin.at(*pointer))


def _unknown(
    schema: Mapping[str, Any], value: object, pointer: Pointer
) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    """Keys below a value that its schema does not name, each with those that it does."""
    if isinstance(value, list) and "items" in schema:
        for index, part in enumerate(value):
            yield from _unknown(schema["items"], part, (*pointer, index))
    known = schema.get("properties")
    if isinstance(value, Mapping) and known is not None:
        for key, part in value.items():
            if key in known:
                yield from _unknown(known[key], part, (*pointer, key))
            else:
                yield (*pointer, key), known


def _elsewhere(kind: Any, pointer: Pointer) -> str:
    """Where such a key belongs, if it is valid elsewhere in the same kind of plugin."""
    for name, key in kind.keys.items():
        for path in _paths(key.schema, name):
            if path.rpartition(".")[2] == pointer[-1]:
                return f"; it belongs to {path}"
    return ""


def _paths(schema: Mapping[str, Any], name: str) -> Iterator[str]:
    yield name
    for key, part in schema.get("properties", {}).items():
        yield from _paths(part, f"{name}.{key}")
    if "items" in schema:
        yield from _paths(schema["items"], name)


def _parts(
    plugins: LintedPlugins,
) -> Iterator[tuple[LintedPlugin, Pointer, Mapping[str, Any], bool]]:
    """Every (sub)schema of every route; the flag is false inside of allOf and the like."""
    for plugin in plugins.of("Routing"):
        for index, spec in enumerate(plugin.value.get("spec", [])):
            request = spec.get("schema", {}).get("request", {})
            for part in ("headers", "params", "resources", "body"):
                at: Pointer = ("spec", index, "schema", "request", part)
                for pointer, schema, alone in _below(request.get(part), at, True):
                    yield plugin, plugin.at(*pointer), schema, alone


def _below(
    schema: object, pointer: Pointer, alone: bool
) -> Iterator[tuple[Pointer, Mapping[str, Any], bool]]:
    if not isinstance(schema, Mapping):
        return
    yield pointer, schema, alone
    for key, part in schema.items():
        if key in _NAMED and isinstance(part, Mapping):
            for name, subschema in part.items():
                yield from _below(subschema, (*pointer, key, name), alone and key == "properties")
        elif key in _SEVERAL and isinstance(part, list):
            for index, subschema in enumerate(part):
                yield from _below(subschema, (*pointer, key, index), False)
        elif key in _ONE:
            yield from _below(part, (*pointer, key), alone and key == "items")


def schema_keyword(plugins: LintedPlugins) -> Iterator[Found]:
    """A keyword unknown to JSON Schema that resembles a keyword or a property; a format."""
    for plugin, pointer, schema, _ in _parts(plugins):
        for key, value in schema.items():
            if key in _KEYWORDS | _OF_OPENAPI or key.startswith("x-"):
                continue
            hint = near(key, _KEYWORDS - set(schema), cutoff=0.75)
            if not hint and isinstance(value, Mapping) and _KEYWORDS & set(value):
                hint = "; properties stand below 'properties'"
            if hint:
                message = f"{key!r} is no keyword of JSON Schema, so it checks nothing{hint}"
                yield plugin, Hit(message=message, pointer=(*pointer, key))
        name = schema.get("format")
        if isinstance(name, str) and name not in _FORMATS | _FORMATS_OF_OPENAPI:
            message = f"the format {name!r} is not known, so it checks nothing"
            yield plugin, Hit(message=message + near(name, _FORMATS), pointer=(*pointer, "format"))


def schema_required(plugins: LintedPlugins) -> Iterator[Found]:
    """A required property that the same schema does not describe."""
    for plugin, pointer, schema, alone in _parts(plugins):
        described = schema.get("properties")
        names = schema.get("required")
        if not alone or not isinstance(described, Mapping) or not isinstance(names, list):
            continue
        for index, name in enumerate(names if not _ELSEWHERE & set(schema) else ()):
            if isinstance(name, str) and name not in described:
                message = f"{name!r} is required and not among the properties, so nothing says"
                message += f" what it is{near(name, described)}"
                yield plugin, Hit(message=message, pointer=(*pointer, "required", index))


def route_backend(plugins: LintedPlugins) -> Iterator[Found]:
    """A backend that is an address to listen at, of a route without a script that answers."""
    for plugin in plugins.of("Routing"):
        scripts = [key for key in plugin.value if key.startswith("request_")]
        for index, authority in enumerate(() if scripts else plugin.value["authorities"]):
            if authority.rpartition("://")[2].rpartition("@")[2].startswith(_UNSPECIFIED):
                message = f"{authority} is an address to listen at, not one of a backend; write"
                message += " where the backend is, or a request_forbidden_process that answers"
                yield plugin, Hit(message=message, pointer=plugin.at("authorities", index))
