"""Table of all rules by id, for the loader and for the generated reference page."""

from collections.abc import Callable, Iterator, Sequence

from qmonus_lite.catalog.lint import (
    awaits,
    gates,
    keys,
    misused,
    options,
    references,
    secret_rules,
    shared,
)
from qmonus_lite.catalog.lint.linted_plugins import LintedPlugin, LintedPlugins
from qmonus_lite.catalog.lint.script import ScriptRule, ScriptView
from qmonus_lite.catalog.lint.warning import Hit
from qmonus_lite.values import Value

SetRule = Callable[[LintedPlugins], Iterator[tuple[LintedPlugin, Hit]]]


class LintRule(Value, frozen=True, kw_only=True):
    """One rule."""

    #: Stable identifier, for people and programs.
    id: str
    #: What it finds, and the consequence.
    finds: str
    #: The release in which the meaning of the reported code changed.
    changed: str = ""
    #: True for code that may well be intended: only `check` shows it.
    is_note: bool = False
    #: The check: of each script separately, or of all plugins together.
    script: ScriptRule | None = None
    plugins: SetRule | None = None

    @property
    def level(self) -> str:
        """`warning` or `note`."""
        return "note" if self.is_note else "warning"


#: Default of `--lambda_sync_timeout`.
USUAL_LIMIT = 5.0


def _gate_slow(limit: float) -> ScriptRule:
    sleeps = gates.sleeps(limit)

    def slow(script: ScriptView) -> Iterator[Hit]:
        yield from sleeps(script)
        yield from gates.gate_waits(script)
        yield from gates.gate_timeout(script, limit)

    return slow


def rules(limit: float = USUAL_LIMIT) -> Sequence[LintRule]:
    """All rules; `limit` is the time limit of a request/reply event in seconds."""
    return (*_OF_GATES, LintRule(id="gate-slow", finds=_SLOW, script=_gate_slow(limit)), *_OTHERS)


_SLOW = (
    "a sleep or a `timeout` in a gate that is longer than `--lambda_sync_timeout`, or a request to"
    " another server without a timeout: uploads are refused after it"
)

_OF_GATES = (
    LintRule(
        id="gate-unawaited",
        finds="a coroutine that a gate does not await (`callout`, helpers of its own): the upload"
        " is refused with 500; before, it was let in",
        changed="0.2",
        script=gates.gate_unawaited,
    ),
    LintRule(
        id="gate-return-value",
        finds="a gate that returns something (`return 401`): the upload is refused with 500;"
        " before, it was let in",
        changed="0.2",
        script=gates.gate_return_value,
    ),
    LintRule(
        id="gate-goes-on",
        finds="a refusing `handle.terminate` that does not leave the handler: the upload is"
        " refused, and what follows still runs",
        script=gates.gate_goes_on,
    ),
    LintRule(
        id="gate-3xx",
        finds="a gate that terminates with 3xx: that is the answer; before, the upload was stored",
        changed="0.2",
        is_note=True,
        script=gates.gate_redirect,
    ),
    LintRule(
        id="gate-allow",
        finds="a gate that terminates with 2xx and has gates behind it: they run too, and all have"
        " to agree; before, they did not run",
        changed="0.2",
        is_note=True,
        plugins=references.gate_allow,
    ),
)

_OTHERS = (
    LintRule(
        id="terminate-code",
        finds="`handle.terminate` with a code that is no status from 200 to 599: the answer is 500",
        script=gates.terminate_code,
    ),
    LintRule(
        id="handle-attribute",
        finds="something that `handle` does not have, or a `terminate` that is not called",
        script=gates.handle_attribute,
    ),
    LintRule(
        id="unknown-argument",
        finds="an argument that `callout`, `publish`, `finish` or the like does not take:"
        " TypeError",
        script=misused.unknown_argument,
    ),
    LintRule(
        id="route-attribute",
        finds="an attribute that `request` or `response` does not have: AttributeError",
        script=misused.route_attribute,
    ),
    LintRule(
        id="error-code",
        finds="`Error` or `HTTPError` with a code that is no status from 200 to 599: the answer"
        " is 500",
        script=misused.error_code,
    ),
    LintRule(
        id="event-key",
        finds="a key of `APIGW.OnFileUploaded` read in a handler of `APIGW.OnFileUploading`:"
        " KeyError",
        plugins=references.event_key,
    ),
    LintRule(
        id="module-waits",
        finds="`time.sleep` or a request to another server at the top level of a handler's module:"
        " it holds up the start and each change of a plugin file",
        script=misused.module_waits,
    ),
    LintRule(
        id="option-unknown",
        finds="a setting that `options` does not show to scripts: AttributeError; before, every"
        " flag was there",
        changed="0.2",
        script=options.unknown_option,
    ),
    LintRule(
        id="unawaited",
        finds="a coroutine that no `await` is written for, outside of gates: it never runs",
        script=gates.other_unawaited,
    ),
    LintRule(
        id="needs-async-with",
        finds="`with` where `async with` is needed, or the other way round: TypeError",
        script=awaits.needs_async_with,
    ),
    LintRule(
        id="loop-bound",
        finds="an asyncio lock or queue, a client session or a database connection kept for later"
        " runs: it works alone and fails under load, since runs have several loops and threads",
        script=shared.loop_bound,
    ),
    LintRule(
        id="masked-header",
        finds="a credential header read from a stored event, where its value is masked unless"
        " `keep_headers` names it; before, it was there",
        changed="0.2",
        script=gates.masked_header,
    ),
    LintRule(
        id="route-credential",
        finds="an API key or a pass of ours read from `request.headers`, where neither is any more",
        changed="0.2",
        script=gates.route_credential,
    ),
    LintRule(
        id="event-get-header",
        finds="`event.get` of a key without a hyphen that no event has: None; before, a header"
        " of that name was the answer",
        changed="0.2",
        plugins=references.event_header,
    ),
    LintRule(
        id="unknown-event",
        finds="a handler of an `APIGW.` event that there is not: it never runs",
        plugins=references.unknown_event,
    ),
    LintRule(
        id="event-nobody-handles",
        finds="`success`, `failure`, `lambda_event` or `publish` of an event without a handler",
        plugins=references.event_without_handler,
    ),
    LintRule(
        id="event-loop",
        finds="events that follow one another in a circle: the chain ends with 500 after 16",
        plugins=references.event_loop,
    ),
    LintRule(
        id="unknown-config",
        finds="`get_service_config` of a name that no Config plugin has: Error(404)",
        plugins=references.unknown_config,
    ),
    LintRule(
        id="unknown-config-key",
        finds="a key that the Config plugin does not have: AttributeError",
        plugins=references.unknown_config_key,
    ),
    LintRule(
        id="role-method",
        finds="a method in a role that is no HTTP method: it allows nothing",
        plugins=references.role_method,
    ),
    LintRule(
        id="route-no-role",
        finds="a route for accounts that no role allows",
        plugins=references.route_no_role,
    ),
    LintRule(
        id="route-backend",
        finds="a route whose backend is `0.0.0.0` or `[::]`, an address to listen at, and no script"
        " answers instead",
        plugins=keys.route_backend,
    ),
    LintRule(
        id="route-timeout",
        finds="a route whose script waits for others and has no `timeout`: it may run 3600 s, also"
        " when the client left; before, 60 s",
        changed="0.2",
        is_note=True,
        plugins=references.route_timeout,
    ),
    LintRule(
        id="unknown-key",
        finds="a key below the top level that nothing reads, so that a validation is off, say",
        plugins=keys.unknown_key,
    ),
    LintRule(
        id="schema-keyword",
        finds="a misspelt keyword or an unknown `format` in a JSON Schema: it checks nothing",
        plugins=keys.schema_keyword,
    ),
    LintRule(
        id="schema-required",
        finds="a required property that the same schema does not describe",
        plugins=keys.schema_required,
    ),
    LintRule(
        id="secret-in-clear",
        finds="text in a Config plugin whose key ends in `password`, `secret`, `token`, `api_key`"
        " and the like: who reads the file reads the secret",
        plugins=secret_rules.secret_in_clear,
    ),
    LintRule(
        id="secret-in-script",
        finds="text in a script under a name that ends in `password`, `secret`, `token`, `api_key`"
        " and the like: who reads the file reads the secret",
        script=secret_rules.secret_in_script,
    ),
    LintRule(
        id="account-password",
        finds="a `password` of an account, which nothing reads: accounts have API keys",
        plugins=secret_rules.account_password,
    ),
    LintRule(
        id="logged-headers",
        finds="all headers of a request in a log record, with the credentials of the client",
        is_note=True,
        script=secret_rules.logged_headers,
    ),
    LintRule(
        id="unsupported-kind",
        finds="a file of a kind of Qmonus SDK that is listed and not run",
        plugins=references.unsupported_kind,
    ),
    # Applies to files that are not read: see `ignored`.
    LintRule(
        id="file-ignored",
        finds="a file that is not read and looks as if it should be: `GATE.YML`, `gate.yml.txt`,"
        " `gate.py`, a link to a folder",
    ),
)
