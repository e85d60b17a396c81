"""What it costs to check a body of 1 MiB, keyword by keyword; run as a program, prints JSON lines.

A process of its own, since the memory of a process that has grown is of no use as a measure.
"""

import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qmonus_lite.schema import Schema

#: Bytes of the bodies, and of memory above which everything ends.
SIZE, MOST = 1 << 20, 3 << 30
DRAFT_7 = "http://json-schema.org/draft-07/schema#"

ONES = [1] * (SIZE // 2)
NUMBERS = list(range(SIZE // 8))
OBJECTS = [{"a": n} for n in range(SIZE // 14)]
NAMES = {f"x{n}": 0 for n in range(SIZE // 11)}
TEXTS = ["a"] * (SIZE // 4)
TEXT = "a" * SIZE
NESTED: list[list[int]] = [[]] * (SIZE // 4)
DEEP = json.loads("[" * 60 + "1" + "]" * 60)
DEEP_NAMES = json.loads('{"a":' * 60 + "1" + "}" * 60)
BACK = {"$ref": "#/$defs/t"}

#: Schema and value, each the worst that is known for a keyword of draft 2020-12.
CASES: list[tuple[dict[str, Any], object]] = [
    ({"items": {"type": "string"}}, ONES),
    ({"items": {"enum": [{"a": -n} for n in range(1, 200)]}}, OBJECTS),
    ({"items": {"const": 2}}, ONES),
    ({"const": NUMBERS[1:]}, NUMBERS),
    ({"items": {"multipleOf": 0.7}}, [n + 0.5 for n in range(SIZE // 9)]),
    ({"items": {"multipleOf": 0.5}}, [n + 0.5 for n in range(SIZE // 9)]),
    ({"items": {"maximum": 0, "exclusiveMaximum": 0}}, ONES),
    ({"items": {"minimum": 2, "exclusiveMinimum": 2}}, ONES),
    ({"maxLength": 1}, TEXT),
    ({"minLength": SIZE + 1}, TEXT),
    ({"items": {"minLength": 2, "maxLength": 0}}, TEXTS),
    ({"pattern": "^(a+)+b$"}, TEXT),
    ({"pattern": "[a-z]{1,900}Q[0-9]{1,900}"}, TEXT),
    ({"items": {"pattern": "^[0-9]+$"}}, TEXTS),
    ({"items": {"format": "email"}}, TEXTS),
    ({"maxItems": 1}, ONES),
    ({"minItems": SIZE}, ONES),
    ({"uniqueItems": True}, NUMBERS),
    ({"uniqueItems": True}, [[n, {"a": n}] for n in range(SIZE // 22)]),
    ({"uniqueItems": True}, [10**30 + n for n in range(SIZE // 33)]),
    ({"uniqueItems": True}, [[10**4200 + n] for n in range(SIZE // 4204)]),
    ({"items": {"uniqueItems": True}}, [list(range(15))] * (SIZE // 46)),
    ({"contains": {"type": "string"}}, ONES),
    ({"contains": {"type": "integer"}, "minContains": SIZE}, ONES),
    ({"contains": {"type": "integer"}, "maxContains": 1}, ONES),
    ({"items": {"contains": {"type": "string"}}}, NESTED),
    ({"maxProperties": 1}, NAMES),
    ({"minProperties": SIZE}, NAMES),
    ({"required": [f"y{n}" for n in range(5000)]}, NAMES),
    ({"required": [f"y{n}" for n in range(5000)]}, {"x": TEXT}),
    ({"items": {"required": ["a", "b", "c", "d"]}}, [{}] * (SIZE // 3)),
    ({"dependentRequired": {"x0": [f"y{n}" for n in range(5000)]}}, NAMES),
    ({"propertyNames": {"pattern": "^[0-9]+$"}}, NAMES),
    ({"propertyNames": {"maxLength": 0}}, {f"x{n}": 0 for n in range(1000)}),
    ({"properties": {f"x{n}": {"type": "string"} for n in range(20_000)}}, NAMES),
    ({"patternProperties": {f"^x{n}": {"type": "string"} for n in range(9)}}, NAMES),
    ({"additionalProperties": {"type": "string"}}, NAMES),
    ({"additionalProperties": False}, NAMES),
    ({"items": {"additionalProperties": False}}, OBJECTS),
    ({"prefixItems": [{"type": "string"}] * 1000, "items": False}, ONES),
    ({"items": {"allOf": [{"type": "string"}, {"minimum": 2}, {"const": 3}]}}, ONES),
    ({"items": {"anyOf": [{"type": "string"}, {"minimum": 2}, {"const": 3}]}}, ONES),
    ({"items": {"oneOf": [{"type": "integer"}, {"minimum": 1}, {"const": 3}]}}, ONES),
    ({"items": {"not": {"type": "integer"}}}, ONES),
    ({"items": {"if": {"type": "integer"}, "then": {"minimum": 2}, "else": False}}, ONES),
    ({"items": {"if": {"type": "string"}, "then": True, "else": {"minimum": 2}}}, ONES),
    ({"dependentSchemas": {"x0": {"additionalProperties": {"type": "string"}}}}, NAMES),
    ({"unevaluatedItems": {"type": "string"}}, ONES),
    ({"contains": {"const": 2}, "minContains": 0, "unevaluatedItems": False}, ONES),
    ({"unevaluatedProperties": {"type": "string"}}, NAMES),
    ({"anyOf": [{"properties": {"x1": True}}] * 5, "unevaluatedProperties": False}, NAMES),
]
#: Schemas that come back to themselves: the work must not double with each level of the value.
RECURSIVE: list[tuple[dict[str, Any], object]] = [
    ({"anyOf": [{"type": "array", "items": BACK}] * 2 + [{"type": "string"}]}, DEEP),
    ({"oneOf": [{"type": "array", "items": BACK}] * 2 + [{"type": "string"}]}, DEEP),
    ({"allOf": [{"items": BACK}, {"items": BACK}, {"minItems": 1}]}, [DEEP, []]),
    ({"anyOf": [{"type": "object", "properties": {"a": BACK}}] * 2}, DEEP_NAMES),
    ({"patternProperties": {"a": BACK, "^a": BACK}, "minimum": 2}, DEEP_NAMES),
    ({"properties": {"a": BACK}, "dependentSchemas": {"a": {"properties": {"a": BACK}}}}, 5),
    ({"properties": {"a": BACK}, "unevaluatedProperties": BACK, "minimum": 2}, DEEP_NAMES),
    ({"if": {"items": BACK}, "then": {"items": BACK}, "else": {"items": BACK}, "minimum": 2}, DEEP),
]
#: What draft 7 has besides, or asks for where the newer does not.
DRAFT_7_CASES: list[tuple[dict[str, Any], object]] = [
    ({"items": [{"type": "string"}] * 1000, "additionalItems": {"type": "string"}}, ONES),
    ({"dependencies": {"x0": [f"y{n}" for n in range(5000)]}}, NAMES),
    ({"dependencies": {"x0": {"additionalProperties": {"type": "string"}}}}, NAMES),
    ({"items": {"contentMediaType": "application/json"}}, TEXTS),
    ({"contentEncoding": "base64"}, TEXT + "!"),
    ({"propertyNames": {"pattern": "^[0-9]+$"}}, NAMES),
    ({"items": {"oneOf": [{"type": "integer"}, {"minimum": 1}]}}, ONES),
    *[
        ({"anyOf": [{"format": name}, {"minLength": SIZE * 2}]}, TEXT)
        for name in (
            "date date-time time email idn-email hostname idn-hostname ipv4 ipv6 uri uri-reference"
            " iri iri-reference uri-template json-pointer relative-json-pointer regex uuid duration"
        ).split()
    ],
]


def cases() -> Iterator[tuple[dict[str, Any], object]]:
    """All of them."""
    yield from CASES
    for part, value in RECURSIVE:
        yield {"$ref": "#/$defs/t", "$defs": {"t": part}}, value
    yield {"$dynamicAnchor": "n", "anyOf": [{"items": {"$dynamicRef": "#n"}}] * 2}, DEEP
    for schema, value in DRAFT_7_CASES:
        yield {"$schema": DRAFT_7, **schema}, value


def _memory(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


def main() -> None:
    """Check every case; a line for each."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))
    for document, value in cases():
        schema = Schema(document)
        # Begin a new high-water mark.
        Path("/proc/self/clear_refs").write_text("5")
        before, began = _memory("VmRSS"), time.process_time()
        faults = schema.mismatches(value)
        seconds = time.process_time() - began
        grown = (_memory("VmHWM") - before) / 1024
        said = {"schema": json.dumps(document)[:100], "seconds": seconds, "mib": grown}
        print(json.dumps({**said, "faults": len(faults)}), flush=True)


if __name__ == "__main__":
    main()
