"""Commands `account add`, `list`, `rotate`, `retire`, `remove`, and `token`."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qmonus_lite.apigw.local_admin import TOKEN_FILE
from qmonus_lite.auth import apikey
from qmonus_lite.auth.account import EVERYTHING, LOCAL_ADMIN, Account
from qmonus_lite.auth.gatekeeper import AUDIENCE
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.catalog import files
from qmonus_lite.catalog.document import Document, dump
from qmonus_lite.catalog.kinds import ACCOUNT, detect_kind
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.catalog.text_edits import remove_item, set_texts
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import DIRECTORY_FLAGS, Command
from qmonus_lite.cli.process_start import make_default_folder
from qmonus_lite.cli.rewriting import create, remove, replace
from qmonus_lite.cli.terminal import BOLD, DIM, is_terminal, styled, wrapped
from qmonus_lite.clock import Clock
from qmonus_lite.compose.plugin_loader import make_reading_loader
from qmonus_lite.datadir import read_key
from qmonus_lite.errors import BadResource, BadSetting
from qmonus_lite.settings.table import Settings
from qmonus_lite.values import Value

_HASH, _PREVIOUS = "api_key_hash", "previous_api_key_hash"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_USAGE = "add NAME --roles=ROLE[,ROLE] | list [--json] | rotate NAME | retire NAME | remove NAME"


def account(arguments: Arguments) -> int:
    """Run a subcommand on account plugins: add, list, change keys, or remove."""
    match arguments.positionals:
        case ("add", name):
            return add(arguments, name)
        case ("rotate", name):
            return rotate(arguments, name)
        case ("retire", name):
            return retire(arguments, name)
        case ("remove", name):
            return remove_account(arguments, name)
        case ("list",):
            return list_accounts(arguments)
    raise BadSetting(f"account: expected {_USAGE}")


def add(arguments: Arguments, name: str) -> int:
    """Create an account plugin with a new API key."""
    settings = _settings(arguments)
    if not _NAME.fullmatch(name):
        raise BadSetting(f"account add: {name!r}: expected letters, digits, and . _ @ - between")
    # Allows adding an account before the first start.
    make_default_folder(settings)
    roles = [role.strip() for role in arguments.flags.get("roles", "").split(",") if role.strip()]
    catalog = _catalog(settings)
    _check_roles(roles, catalog)
    if name in catalog.accounts:
        raise BadSetting(f"account add: there is an account {name!r} already")
    key = apikey.new_key()
    entry = {
        "username": name,
        "roles": roles,
        "api_key_hash": apikey.digest(key),
        "created_at": Clock(settings.logs.timezone).moment().isoformat(timespec="seconds"),
    }
    file = settings.plugin_dirs[0] / "accounts" / f"{name}.yml"
    create(file, dump([entry]))
    print(f"wrote {file}")
    print(f"API key of {name}, shown this once: {key}")
    return 0


def rotate(arguments: Arguments, name: str) -> int:
    """Give an account a new API key; the previous key stays valid until it is retired."""
    key = apikey.new_key()
    found = _find(arguments, "rotate", name)
    if found.entry.get(_HASH):
        found.change({_PREVIOUS: found.entry[_HASH], _HASH: apikey.digest(key)})
    else:
        found.change({_HASH: apikey.digest(key)})
    print(f"changed {found.file}")
    print(f"new API key of {name}, shown this once: {key}")
    print(f"its key so far is good until 'qmonus-lite account retire {name}'")
    return 0


def retire(arguments: Arguments, name: str) -> int:
    """Remove the previous API key of an account."""
    found = _find(arguments, "retire", name)
    if _PREVIOUS not in found.entry:
        raise BadSetting(f"account retire: {name!r} has no previous key")
    found.change({_PREVIOUS: None})
    print(f"changed {found.file}")
    return 0


def remove_account(arguments: Arguments, name: str) -> int:
    """Remove an account from its plugin file, and the file if it held no other."""
    found = _find(arguments, "remove", name)
    if found.is_alone:
        remove(found.file)
        print(f"removed {found.file}")
    else:
        replace(found.file, found.without())
        print(f"changed {found.file}")
    print(f"tokens and API keys of {name} end as soon as a running APIGW has seen it")
    return 0


def list_accounts(arguments: Arguments) -> int:
    """List the accounts of the plugin folders, and the local admin; without their keys."""
    settings = _settings(arguments)
    accounts = dict(_catalog(settings).accounts)
    files_by_name = {found.username: found.file for found in _entries(settings)}
    token = settings.storage.state_dir / TOKEN_FILE
    if token.exists() and LOCAL_ADMIN.username not in accounts:
        accounts[LOCAL_ADMIN.username] = LOCAL_ADMIN
        files_by_name[LOCAL_ADMIN.username] = token
    rows = [_row(entry, files_by_name.get(name)) for name, entry in sorted(accounts.items())]
    if arguments.flags.get("json") == "true":
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        if is_terminal():
            print(_lines(row))
            continue
        ends = f" expires={row['expires']}" if row["expires"] else ""
        roles = ",".join(row["roles"])
        print(f"{row['username']} roles={roles} keys={row['keys']}{ends} {row['file']}")
    return 0


def _lines(row: Mapping[str, Any]) -> str:
    """An account as a person reads it on a terminal."""
    ends = f", expires {row['expires']}" if row["expires"] else ""
    keys = f"{row['keys']} key{'' if row['keys'] == 1 else 's'}"
    roles = ", ".join(row["roles"]) or "none"
    return "\n".join(
        [
            f"{styled(row['username'], BOLD)}  {keys}{ends}",
            wrapped(f"roles: {roles}", 4),
            styled(f"    {row['file']}", DIM),
        ]
    )


def _row(account: Account, file: Path | None) -> dict[str, Any]:
    return {
        "username": account.username,
        "roles": list(account.roles),
        "keys": sum(map(bool, (account.api_key_sha256, account.previous_key_sha256))),
        "expires": account.expires_at.isoformat() if account.expires_at else None,
        "file": str(file or ""),
    }


class _Found(Value, frozen=True, kw_only=True):
    """Location of an account in a plugin file."""

    file: Path
    source: str
    #: Index in the list of the file.
    index: int
    entry: Mapping[str, str]
    #: Whether the file has no other account.
    is_alone: bool

    @property
    def username(self) -> str:
        """Name of the account."""
        return self.entry["username"]

    def without(self) -> str:
        """The text of the file without the entry; raises BadResource."""
        try:
            return remove_item(self.source, self.index)
        except ValueError:
            raise BadResource(
                f"{self.file}: the entry of {self.username} stands in a form that cannot be taken"
                " out; edit the file"
            ) from None

    def change(self, new: Mapping[str, str | None]) -> None:
        """Set or remove (None) keys of the entry and rewrite the file."""
        after = _HASH if _HASH in self.entry else "username"
        replace(self.file, set_texts(self.source, (self.index,), after, new))


def _find(arguments: Arguments, command: str, name: str) -> _Found:
    settings = _settings(arguments)
    # Raises for plugin folders with faults, since an APIGW would not load any change of them.
    if name not in _catalog(settings).accounts:
        raise BadSetting(f"account {command}: no account is named {name!r}")
    for found in _entries(settings):
        if found.username == name:
            return found
    raise BadSetting(f"account {command}: the file of {name!r} has just gone")


def _entries(settings: Settings) -> Iterator[_Found]:
    """Every account in the plugin files."""
    for file in files.files(settings.plugin_dirs):
        source = files.read(file)
        value = Document(str(file), source).value
        if detect_kind(value) is ACCOUNT:
            for index, entry in enumerate(value):
                alone = len(value) == 1
                yield _Found(file=file, source=source, index=index, entry=entry, is_alone=alone)


def token(arguments: Arguments) -> int:
    """Print a token for an account; needs read access to the data directory."""
    if len(arguments.positionals) != 1:
        raise BadSetting("token: expected the name of an account")
    name = arguments.positionals[0]
    settings = arguments.settings(os.environ)
    if name != LOCAL_ADMIN.username and name not in _catalog(settings).accounts:
        raise BadSetting(f"token: no account is named {name!r}")
    key = read_key(settings.storage.state_dir / "token.key")
    if key is None:
        raise BadResource(
            f"--data_dir={settings.storage.state_dir}: has no token.key; has an APIGW run on it?"
        )
    minter = Minter(key=key, clock=Clock(settings.logs.timezone))
    print(minter.mint(name, audience=AUDIENCE, ttl=settings.auth.token_ttl))
    return 0


def _catalog(settings: Settings) -> Catalog:
    return make_reading_loader(settings).load()


def _settings(arguments: Arguments) -> Settings:
    return arguments.settings(os.environ, own=("roles", "json"))


def _check_roles(roles: list[str], catalog: Catalog) -> None:
    known = {EVERYTHING.name, *catalog.roles}
    if not roles:
        raise BadSetting(f"account add: give --roles=; there are: {', '.join(sorted(known))}")
    for role in roles:
        if role not in known:
            there = ", ".join(sorted(known))
            raise BadSetting(f"account add: no role is named {role!r}; there are: {there}")


COMMANDS = {
    "account": Command(
        run=account,
        summary="add an account and show its API key once, list accounts, give one a new key beside"
        " the one it has, take the older one away, or remove an account",
        usage=_USAGE,
        flags=(*DIRECTORY_FLAGS, "timezone"),
        own_flags={
            "--roles=ROLE[,ROLE]": "roles of the account, 'admin' or those of Role plugins",
            "--json": "list them as JSON",
        },
    ),
    "token": Command(
        run=token,
        summary="print a token for an account",
        usage="NAME",
        flags=(*DIRECTORY_FLAGS, "token_ttl"),
    ),
}
