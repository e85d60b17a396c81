"""Command `why`: what became of a request, upload or event, and who decided that."""

import json
import os
import sys

from qmonus_lite.apigw.json_values import json_value
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.explanation import Style, explain, explain_attempts
from qmonus_lite.cli.records import opened
from qmonus_lite.errors import BadSetting
from qmonus_lite.surrogates import escape_surrogates


def why(arguments: Arguments) -> int:
    """Explain the records with this id; works whether or not an APIGW runs."""
    if len(arguments.positionals) != 1:
        raise BadSetting("why: expected one id, as in 'why ID'; a client has it as X-Request-Id")
    # Bytes of the command line that are not UTF-8 are surrogates, and no record has any.
    wanted = escape_surrogates(arguments.positionals[0])
    with opened(arguments) as store:
        found = store.find(wanted)
        attempts = () if found else store.attempts(event_id=wanted)
    if not found and not attempts:
        raise BadSetting(
            f"why: no record has the id {wanted!r}, in full; it is written within a second, and"
            " --records, --record_max_age and --record_max_rows say which are kept"
        )
    if "json" in arguments.flags:
        value = {"records": found, "attempts": attempts}
        print(json.dumps(json_value(value), ensure_ascii=False, indent=2))
        return 0
    style = Style(colours=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    texts = [explain(record, style) for record in found]
    print("\n".join(texts or [explain_attempts(attempts, style)]), end="")
    return 0


COMMANDS = {
    "why": Command(
        run=why,
        summary="explain what became of a request, upload or event",
        usage="ID [--json] [--name=value ...]",
        flags=("base_dir", "data_dir", "timezone"),
        own_flags={"--json": "the records as JSON, as /-/uploads/{id} gives them"},
    )
}
