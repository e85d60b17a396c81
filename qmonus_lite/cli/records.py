"""Command `records forget`, and the records of a data directory, for commands."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.clock import Clock
from qmonus_lite.errors import BadResource, BadSetting
from qmonus_lite.records.store import FILE, RecordsFailed, RecordStore
from qmonus_lite.surrogates import escape_surrogates

_USAGE = "records: expected 'forget --account=NAME' or 'forget --path=PATH'"


def records(arguments: Arguments) -> int:
    """Delete the records of an account or path; may run concurrently with an APIGW."""
    # Bytes of the command line that are not UTF-8 are surrogates, and no record has any.
    account, path = (
        escape_surrogates(arguments.flags.get(name, "")) for name in ("account", "path")
    )
    if arguments.positionals != ("forget",) or bool(account) == bool(path):
        raise BadSetting(_USAGE)
    if path and not path.startswith("/"):
        raise BadSetting(f"--path={path}: a path begins with a slash, as in --path=/upload/kim")
    with opened(arguments) as store:
        count = store.forget_account(account) if account else store.forget_path(path)
    print(
        f"{count} record(s) deleted, with the attempts to deliver their events; log, outbox and"
        " stored files are as they were"
    )
    return 0


@contextmanager
def opened(arguments: Arguments) -> Iterator[RecordStore]:
    """The records of the data directory; raises BadResource."""
    settings = arguments.settings(os.environ, own=("account", "path", "json"))
    file = settings.storage.state_dir / FILE
    if not file.exists():
        raise BadResource(
            f"--data_dir={settings.storage.state_dir}: no records here; has an APIGW run on it?"
        )
    # It is migrated by the gateway alone: one of an older version may still run.
    store = RecordStore(file, Clock(settings.logs.timezone), migrates=False)
    try:
        yield store
    except RecordsFailed as error:
        raise BadResource(f"{file}: cannot be read or written: {error}") from None
    finally:
        store.close()


COMMANDS = {
    "records": Command(
        run=records,
        summary="forget the records of an account or a path",
        usage="forget --account=NAME | --path=PATH [--name=value ...]",
        flags=("base_dir", "data_dir", "timezone"),
        own_flags={
            "--account=NAME": "delete the records of this account",
            "--path=PATH": "delete the records of this path, and of all below it",
        },
    )
}
