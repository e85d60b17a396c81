"""JSON Schema validation: compile once, report errors by JSON pointer, fill in defaults.

Patterns run on a linear-time regex engine and `$ref` cannot leave the document, so a schema causes
neither ReDoS nor network access. Validity is cheap to compute; errors are listed only where that
is cheap too (docs/decisions/json-schema.md). Draft 2020-12 unless the schema names another. Only
this module imports jsonschema_rs.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from qmonus_lite import schema_unique
from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.schema_cost import PARTS, SILENT, References, TooMuch, Work
from qmonus_lite.schema_defaults import Filling
from qmonus_lite.values import Value

if TYPE_CHECKING:
    import jsonschema_rs
else:
    jsonschema_rs = ImportedOnUse("jsonschema_rs")

#: Maximum number of errors listed for a value that is validated in parts.
MAX_ERRORS = 99
#: Cost limit for listing the errors of a value, in units of `schema_cost`.
MAX_WORK = 30_000
#: Maximum number of values that are split because of their cost, and maximum depth of splits.
MAX_SPLITS, MAX_SPLIT_DEPTH = 8, 8

_NOT_COMPARED = "too many integers of more than 64 bits to find out which are equal"
_MORE = "too large, or nested too deeply, to list further faults"
#: URI under which a document is registered, for references from its subschemas.
_DOCUMENT_URI = "https://schema.invalid/document"

Path = tuple[str | int, ...]


class BadSchema(ValueError):
    """An invalid schema; `pointer` is the path of the invalid part."""

    def __init__(self, message: str, pointer: tuple[str | int, ...] = ()) -> None:
        self.pointer = pointer
        super().__init__(message)


class Mismatch(Value, frozen=True, kw_only=True):
    """A validation error at one place in a value."""

    #: Path into the value.
    path: tuple[str | int, ...]
    #: Error message.
    message: str

    @property
    def pointer(self) -> str:
        """The path as an RFC 6901 JSON pointer."""
        parts = (str(part).replace("~", "~0").replace("/", "~1") for part in self.path)
        return "".join(f"/{part}" for part in parts)


class BadPattern(ValueError):
    """Not a regular expression of the linear-time engine."""


class Pattern:
    """A regular expression on the linear-time engine, without catastrophic backtracking."""

    def __init__(self, text: str) -> None:
        """Compile; raises BadPattern."""
        for pattern in (text, f"^(?:{text})"):
            try:
                self._schema = Schema({"type": "string", "pattern": pattern})
            except BadSchema:
                raise BadPattern(
                    f"not a regular expression that can be used: {text[:80]!r}"
                    " (look-around and back-references cannot)"
                ) from None

    def match(self, string: str, /) -> bool:
        """Whether the expression matches at the start of the text."""
        return self._schema.fits(string)


class _Part(Value, frozen=True, kw_only=True):
    """A compiled subschema."""

    validator: Any
    document: object


class Schema:
    """A compiled JSON Schema."""

    def __init__(self, document: Mapping[str, object]) -> None:
        """Compile; raises BadSchema."""
        self.document = document
        try:
            self._validator = _compiled(document)
        except jsonschema_rs.ValidationError as error:
            raise BadSchema(error.message, tuple(error.instance_path)) from None
        except (jsonschema_rs.ReferencingError, ValueError) as error:
            raise BadSchema(str(error)) from None
        self._compares_items = schema_unique.compares_items(document)
        #: Subschemas by JSON pointer; compiled when a value is first split.
        self._parts: dict[str, _Part | None] = {
            "": _Part(validator=self._validator, document=document)
        }
        self._references: References | None = None
        self._registry: Any = None

    def mismatches(self, value: object) -> list[Mismatch]:
        """The validation errors of `value`; empty when it is valid.

        Complete, unless listing them exceeds the cost limit; the last entry then states that.
        """
        if self._compares_items and schema_unique.is_too_large(value):
            return [Mismatch(path=(), message=_NOT_COMPARED)]
        if self._validator.is_valid(value):
            return []
        return _Listing(self).of(value)

    def fits(self, value: object) -> bool:
        """Whether `value` is valid; False if it contains text with lone surrogates."""
        if self._compares_items and schema_unique.is_too_large(value):
            return False
        try:
            return bool(self._validator.is_valid(value))
        except ValueError:
            return False

    def with_defaults(self, value: object) -> object:
        """`value` with the `default` of every absent property filled in; the input is not modified.

        Descends into `properties` and `items`, not into `$ref` and combinators. Raises
        DefaultsTooLarge.
        """
        return Filling().of(self.document, value)

    @property
    def references(self) -> References:
        """Resolver for the references of the document."""
        if self._references is None:
            self._references = References(self.document)
        return self._references

    def part(self, pointer: str) -> _Part | None:
        """The subschema at a JSON pointer; None if it cannot be compiled by itself."""
        if pointer not in self._parts:
            self._parts[pointer] = self._part(pointer)
        return self._parts[pointer]

    def _part(self, pointer: str) -> _Part | None:
        try:
            at = f"#{quote(pointer)}"
            document = self.references.follow(at)
            if self._registry is None:
                self._registry = jsonschema_rs.Registry([(_DOCUMENT_URI, dict(self.document))])
            alone = self.alone({"$ref": _DOCUMENT_URI + at})
            validator = _compiled(alone, registry=self._registry)
        except (
            TooMuch,
            jsonschema_rs.ValidationError,
            jsonschema_rs.ReferencingError,
            ValueError,
        ):
            return None
        return _Part(validator=validator, document=document)

    def alone(self, keywords: Mapping[str, object]) -> dict[str, object]:
        """The keywords as a schema of the same draft."""
        draft = {"$schema": self.document["$schema"]} if "$schema" in self.document else {}
        return {**draft, **keywords}


def _compiled(document: Mapping[str, object], **more: Any) -> Any:
    return jsonschema_rs.validator_for(
        dict(document),
        pattern_options=jsonschema_rs.RegexOptions(),
        # The default of draft 2020-12 only annotates; docs/decisions/json-schema-formats.md.
        validate_formats=True,
        offline=True,
        **more,
    )


class _Listing:
    """Lists the errors of a value at bounded cost.

    The library lists either all errors of a value or none. Above the cost limit the value is split,
    and its properties and items are validated one by one against their subschemas.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._work = Work(left=MAX_WORK)
        self._splits = 0
        self._found: list[Mismatch] = []

    def of(self, value: object) -> list[Mismatch]:
        """The errors of an invalid value."""
        self._list("", value, ())
        if not self._splits:
            return self._found
        return [*self._found[:MAX_ERRORS], Mismatch(path=(), message=_MORE)]

    def _list(self, pointer: str, value: object, path: Path, level: int = 0) -> None:
        part = self._schema.part(pointer)
        if part is None:
            self._found.append(_unlisted(path))
            return
        try:
            self._work.count(self._schema.references, part.document, value)
        except TooMuch:
            self._split(pointer, value, path, level)
            return
        for error in part.validator.iter_errors(value):
            location = (*path, *error.instance_path)
            self._found.append(Mismatch(path=location, message=error.message))

    def _split(self, pointer: str, value: object, path: Path, level: int) -> None:
        """Validate the parts of a value whose total cost is above the limit."""
        before = len(self._found)
        self._splits += 1
        part = self._schema.part(pointer)
        bounded = level < MAX_SPLIT_DEPTH and self._splits <= MAX_SPLITS
        if bounded and part and isinstance(part.document, Mapping):
            self._found += self._keyword_errors(part.document, value, path)
            self._list_below(pointer, part.document, value, path, level + 1)
        if len(self._found) == before:
            self._found.append(_unlisted(path))

    def _list_below(
        self,
        pointer: str,
        document: Mapping[str, object],
        value: object,
        path: Path,
        level: int,
    ) -> None:
        for step, below, key in _below(document, value):
            if len(self._found) >= MAX_ERRORS or self._splits > MAX_SPLITS:
                return
            at = step[1:] if step.startswith("#") else pointer + step
            part = self._schema.part(at)
            if part is None or not part.validator.is_valid(below):
                self._list(at, below, (*path, *key), level)

    def _keyword_errors(
        self, document: Mapping[str, object], value: object, path: Path
    ) -> Iterator[Mismatch]:
        """Errors of keywords that contain no subschemas."""
        for keyword, given in document.items():
            if keyword in PARTS or keyword in SILENT or keyword in _NOT_LISTED_ALONE:
                continue
            if keyword == "required" and isinstance(given, list) and isinstance(value, dict):
                missing = [name for name in given if name not in value][:MAX_ERRORS]
                for name in missing:
                    yield Mismatch(path=path, message=f"{json.dumps(name)} is a required property")
            elif not _compiled(self._schema.alone({keyword: given})).is_valid(value):
                yield Mismatch(path=path, message=f"does not fit {keyword!r}: {_short(given)}")


#: Keywords that depend on sibling keywords, or whose subschemas yield only valid or invalid.
_NOT_LISTED_ALONE = frozenset(
    {"if", "not", "contains", "minContains", "maxContains", "propertyNames"}
)


def _unlisted(path: Path) -> Mismatch:
    return Mismatch(path=path, message="does not fit the schema")


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:100]


def _below(document: Mapping[str, object], value: object) -> Iterator[tuple[str, object, Path]]:
    """Yield pointer of a subschema, the value to validate with it, and the path of the value."""
    ref = document.get("$ref")
    if isinstance(ref, str) and (ref == "#" or ref.startswith("#/")):
        yield unquote(ref), value, ()
    every = document.get("allOf")
    for n in range(len(every) if isinstance(every, list) else 0):
        yield f"/allOf/{n}", value, ()
    if isinstance(value, dict):
        yield from _below_object(document, value)
    elif isinstance(value, list) and isinstance(document.get("items"), Mapping):
        given = document.get("prefixItems")
        first = len(given) if isinstance(given, list) else 0
        for n, item in enumerate(value[first:], first):
            yield "/items", item, (n,)


def _below_object(
    document: Mapping[str, object], value: dict[str, object]
) -> Iterator[tuple[str, object, Path]]:
    named = document.get("properties")
    known = named if isinstance(named, Mapping) else {}
    others = isinstance(document.get("additionalProperties"), Mapping)
    others &= "patternProperties" not in document
    for name, child in value.items():
        if name in known:
            yield (
                f"/properties/{name.replace('~', '~0').replace('/', '~1')}",
                child,
                (name,),
            )
        elif others:
            yield "/additionalProperties", child, (name,)
        if "propertyNames" in document:
            yield "/propertyNames", name, ()
