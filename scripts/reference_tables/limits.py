"""Tables of docs/reference/limits.md: the limits that are constants, from the constants themselves.

Each `MAX_` constant of the package is either in LIMITS or in INTERNAL; `limits` fails for one that
is in neither, so that a new limit cannot be forgotten.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[2] / "qmonus_lite"


class Limit(NamedTuple):
    """One row: where the constant is, what it limits, and what happens beyond."""

    #: `module.NAME`, without the package.
    constant: str
    subject: str
    beyond: str


#: Rows by heading.
LIMITS: Mapping[str, Sequence[Limit]] = {
    "Requests": (
        Limit("http.framing.MAX_LINE_BYTES", "request line", "414"),
        Limit("http.framing.MAX_FIELDS", "header fields, number", "431"),
        Limit("http.framing.MAX_BLOCK_BYTES", "header fields, together", "431"),
        Limit("apigw.query.MAX_QUERY_ARGUMENTS", "arguments of a query", "400"),
        Limit("http.idle_timeout.IDLE_SECONDS", "time for a head, and between two", "closed"),
        Limit("apigw.endpoint.MAX_UNUSED_BODY_BYTES", "body at an endpoint under `/-/`", "413"),
        Limit("http.body_memory.MAX_BODY", "body for a route of a plugin", "413"),
        Limit("http.body_memory.MAX_TOGETHER", "bodies for routes at once, a process", "503"),
        Limit("routing.jsonbody.MAX_DEPTH", "nesting of a JSON body for a route", "400"),
        Limit("http.chunked.MAX_LINE_BYTES", "size line of a chunk", "400"),
        Limit("http.request_ids.MAX_REQUEST_ID_CHARS", "`X-Request-Id` of a proxy", "a fresh one"),
        Limit("http.lingering_close.MAX_SECONDS", "time to read a refused body", "closed"),
        Limit("http.lingering_close.MAX_SILENT_SECONDS", "time without a byte of it", "closed"),
        Limit("apigw.admin.events.MAX_LISTED", "events in an answer of `/-/events`", "left out"),
    ),
    "Names of files": (
        Limit("uploads.names.MAX_PART_BYTES", "a part of a path, UTF-8", "400"),
        Limit("uploads.names.MAX_PATH_BYTES", "a path, UTF-8", "400"),
        Limit("uploads.names.MAX_PARTS", "parts of a path", "400"),
        Limit("uploads.renaming.MAX_NUMBER", "number in the name of a renamed file", "409"),
    ),
    "Plugins and scripts": (
        Limit("catalog.files.MAX_FILE_BYTES", "a plugin file", "a fault"),
        Limit("catalog.yaml_reader.MAX_VALUES", "values in a plugin file", "a fault"),
        Limit("catalog.yaml_reader.MAX_DEPTH", "nesting in a plugin file", "a fault"),
        Limit("scripting.loading.MAX_LOAD_SECONDS", "module level of a script", "a fault"),
        Limit("compose.shared.MAX_SCRIPT_THREADS", "script threads, of a kind", "they are shared"),
        Limit("scripting.script_threads.MAX_HUNG", "stuck threads", "no script starts any more"),
        Limit("scripting.builtins.outgoing.MAX_ANSWER_BYTES", "an answer of `callout`", "599"),
        Limit("routing.backend.MAX_BODY_BYTES", "an answer that a response script gets", "502"),
        Limit("scripting.context.MAX_GATE_DEPTH", "uploads of gates inside one another", "508"),
        Limit("lambdas.chain.MAX_DEPTH", "follow-up events in a chain", "500"),
    ),
    "Events": (
        Limit("events.outcome.MAX_OUTCOME_BYTES", "what a handler left: event and output", "500"),
        Limit("transports.http.codec.MAX_BODY_BYTES", "a message between APIGW and worker", "502"),
        Limit(
            "transports.http.listener.MAX_CONNECTIONS",
            "connections to a worker",
            "an idle one is closed",
        ),
        Limit("events.dispatcher.MAX_IN_FLIGHT", "deliveries at once", "the others wait"),
        Limit("events.dispatcher.MAX_FOLLOWING", "events of a path claimed ahead", "they wait"),
        Limit("events.delivery.MAX_REASON_CHARS", "reason of a failed attempt", "cut"),
        Limit("events.retry.MAX_DELAY_SECONDS", "longest time between two attempts", ""),
        Limit("events.inbox.RETENTION_SECONDS", "memory of handled events", "forgotten"),
        Limit("events.inbox.MAX_ROWS", "handled events kept", "the oldest are forgotten"),
        Limit("events.published.MAX_NAME_BYTES", "name of a published event", "`ValueError`"),
        Limit("events.published.MAX_EVENT_BYTES", "a published event, as JSON", "`ValueError`"),
        Limit("events.published.MAX_EVENTS", "events that one run publishes", "`ValueError`"),
        Limit("events.published.MAX_TOTAL_BYTES", "those together", "`ValueError`"),
        Limit("events.outcome.MAX_RAN", "handlers of a run that are told of", "left out"),
        Limit("events.log.MAX_DELIVERED", "delivered events kept", "the oldest are deleted"),
        Limit("events.log.MAX_DEAD_LETTERS", "dead letters kept", "the oldest are deleted"),
        Limit("events.log.MAX_DEAD_LETTER_DAYS", "age of a dead letter", "it is deleted"),
        Limit("cli.events.MAX_LISTED", "events in `events list`", "left out"),
    ),
    "Records": (
        Limit("apigw.admin.uploads.MAX_LISTED", "records in an answer of `/-/uploads`", "`next`"),
        Limit("records.recorder.MAX_QUEUED", "records that wait, a process", "lost and counted"),
        Limit("records.recorder.MAX_CLOSE_SECONDS", "time to write them at the exit", "lost"),
        Limit("records.rows.MAX_TEXT", "characters of a path or reason in a record", "cut off"),
        Limit("records.store.MAX_FOUND", "records that one id finds", "the newest"),
        Limit("records.store.MAX_ATTEMPTS", "attempts kept of an event", "the oldest are deleted"),
        Limit("records.store.MAX_ATTEMPTS_SHOWN", "attempts shown with a record", "the newest"),
    ),
    "Log": (
        Limit(
            "nonblocking_output.MAX_BACKLOG_BYTES",
            "records that the reader of an output has not taken, a process",
            "lost and counted",
        ),
        Limit("nonblocking_output.MAX_FLUSH_SECONDS", "time to write them at the exit", "lost"),
    ),
    "Metrics": (
        Limit(
            "metrics.definitions.MAX_PLUGINS", "values of the label `plugin`", "counted as `other`"
        ),
        Limit("metrics.definitions.MAX_CODES", "values of the label `code`", "counted as `other`"),
        Limit(
            "metrics.definitions.MAX_EVENTS", "values of the label `event`", "counted as `other`"
        ),
        Limit(
            "apigw.admin.metrics.MAX_OUTBOX_SECONDS",
            "time that a scrape waits for the outbox",
            "without the metrics of events",
        ),
    ),
    "Accounts": (
        Limit(
            "settings.secret.MIN_SECRET_LENGTH", "characters of the event secret, least", "refused"
        ),
        Limit("auth.login_throttle.MAX_WAIT_SECONDS", "wait after wrong keys, longest", ""),
        Limit("auth.login_throttle.MAX_CLIENTS", "clients that this is kept of", "forgotten"),
    ),
}

#: Sizes of caches, batches and texts, which change no answer and lose nothing.
INTERNAL = frozenset(
    {
        "background.MAX_DELAY_SECONDS",
        "auth.tokens.MAX_VERIFIED",
        "catalog.lint.linter.MAX_FOUND",
        "catalog.live.MAX_DELAY_SECONDS",
        "catalog.plugins.MAX_NAMED_FILES",
        "database.database.MAX_BATCH",
        "events.ordering.MAX_DIRECT",
        "events.ordering.MAX_KNOWN",
        "http.accept.MAX_REFUSALS_PENDING",
        "http.buffered.MAX_BUFFERED_BODY_BYTES",
        "http.buffered.MAX_HEAD_BYTES",
        "http.chunked.MAX_BEHIND_BYTES",
        "http.chunked.MAX_FRAMING_BYTES",
        "http.chunked.MAX_FRAMING_READ_BYTES",
        "http.chunked.MAX_SIZE_DIGITS",
        "http.chunked.MAX_SOURCE_BYTES",
        "http.chunked.MAX_SOURCE_CHUNKS",
        "http.foreign_protocols.MAX_FRAME_BYTES",
        "http.framing.MAX_LENGTH_DIGITS",
        "records.recorder.MAX_BATCH",
        "records.store.MAX_PRUNED",
        "metrics.directory.MAX_LOCK_SECONDS",
        "metrics.slots.MAX_SLOTS",
        "metrics.slots.MAX_TABLE_BYTES",
        "schema.MAX_ERRORS",
        "schema.MAX_SPLITS",
        "schema.MAX_SPLIT_DEPTH",
        "schema.MAX_WORK",
        "schema_defaults.MAX_ADDED",
        "schema_unique.MAX_BITS",
        "scripting.builtins.no_answer.MAX_CAUSES",
        "scripting.compiler.MAX_UNKNOWN_NAMES",
        "scripting.context.MAX_CALLERS",
        "scripting.context.MAX_UNANSWERED",
        "scripting.runner.MAX_REASON",
        "stores.file.reserved_space.MAX_FILESYSTEMS",
        "stores.file.root_dir.MAX_CACHED_DIRS",
        "stores.file.source_copy.MAX_CONCURRENT_COPIES",
        "stores.file.store.MAX_INLINE_BYTES",
        "supervisor.MAX_DELAY_SECONDS",
        "transports.http.circuit_breaker.MAX_FAILURES",
        "transports.http.codec.MAX_HEAD_BYTES",
        "transports.http.connection_limits.MAX_UNSIGNED_BYTES",
        "transports.http.signed_client.MAX_REASON_BYTES",
        "uploads.batching.MAX_BATCH",
        "uploads.batching.MAX_THREADS",
        "uploads.limits.MAX_BYTES",
        "uploads.renaming.MAX_LOST_NAMES",
        "writer.messages.MAX_MESSAGE_BYTES",
    }
)


def limits() -> str:
    """Every limit that is a constant; raises LookupError for a constant that is not listed."""
    listed = {limit.constant for rows in LIMITS.values() for limit in rows}
    if missing := sorted(set(_constants()) - listed - INTERNAL):
        raise LookupError(f"in neither LIMITS nor INTERNAL of {__file__}: {', '.join(missing)}")
    return "\n\n".join(_table(heading, rows) for heading, rows in LIMITS.items())


def _table(heading: str, rows: Sequence[Limit]) -> str:
    lines = [f"## {heading}", "", "| what | limit | beyond it |", "| --- | --- | --- |"]
    lines += [f"| {row.subject} | {_value(row.constant)} | {row.beyond} |" for row in rows]
    return "\n".join(lines)


def _value(constant: str) -> str:
    """The value of a constant, with the unit that its name has."""
    module, _, name = constant.rpartition(".")
    value = getattr(import_module(f"qmonus_lite.{module}"), name)
    if name.endswith("_SECONDS"):
        return f"{value / 86400:g} d" if value >= 86400 else f"{value:g} s"
    if name.endswith("_BYTES") or name in {"MAX_BODY", "MAX_TOGETHER"}:
        return _bytes(value)
    return f"{value:,}".replace(",", " ")


def _bytes(count: int) -> str:
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} bytes"


def _constants() -> Iterator[str]:
    """Every public constant `MAX_...` at the top of a module, as `module.NAME`."""
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        for statement in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Assign | ast.AnnAssign):
                names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
                for name in names:
                    if isinstance(name.ctx, ast.Store) and name.id.startswith("MAX_"):
                        yield f"{module}.{name.id}"
