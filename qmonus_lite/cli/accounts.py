"""Commands `account add`, `account rotate`, `account retire` and `token`."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qmonus_lite.auth import apikey
from qmonus_lite.auth.account import EVERYTHING, LOCAL_ADMIN
from qmonus_lite.auth.gatekeeper import AUDIENCE
from qmonus_lite.auth.sealing import sealer_of
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.catalog import files
from qmonus_lite.catalog.document import Document, dump, set_texts
from qmonus_lite.catalog.kinds import ACCOUNT, detect_kind
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import DIRECTORY_FLAGS, Command
from qmonus_lite.cli.process_start import make_default_folder
from qmonus_lite.cli.rewriting import replace
from qmonus_lite.clock import Clock
from qmonus_lite.compose.shared import make_loader
from qmonus_lite.datadir import DataDir, sync
from qmonus_lite.errors import BadResource, BadSetting
from qmonus_lite.settings.table import Settings

_HASH, _PREVIOUS = "api_key_hash", "previous_api_key_hash"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def account(arguments: Arguments) -> int:
    """Run a subcommand: write an account plugin and print its API key once, or change its keys."""
    match arguments.positionals:
        case ("add", name):
            return add(arguments, name)
        case ("rotate", name):
            return rotate(arguments, name)
        case ("retire", name):
            return retire(arguments, name)
    raise BadSetting(
        "account: expected 'add NAME --roles=ROLE[,ROLE]', 'rotate NAME' or 'retire NAME'"
    )


def add(arguments: Arguments, name: str) -> int:
    """Create an account plugin with a new API key."""
    settings = arguments.settings(os.environ, own=("roles",))
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
    file = _write(settings.plugin_dirs[0] / "accounts", name, dump([entry]))
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


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Location of an account in a plugin file."""

    file: Path
    source: str
    #: Index in the list of the file.
    index: int
    entry: Mapping[str, str]

    def change(self, new: Mapping[str, str | None]) -> None:
        """Set or remove (None) keys of the entry and rewrite the file."""
        after = _HASH if _HASH in self.entry else "username"
        replace(self.file, set_texts(self.source, (self.index,), after, new))


def _find(arguments: Arguments, command: str, name: str) -> _Found:
    settings = arguments.settings(os.environ)
    # Raises for plugin folders with faults, since an APIGW would not load any change of them.
    if name not in _catalog(settings).accounts:
        raise BadSetting(f"account {command}: no account is named {name!r}")
    for file in files.files(settings.plugin_dirs):
        source = files.read(file)
        value = Document(str(file), source).value
        if detect_kind(value) is not ACCOUNT:
            continue
        for index, entry in enumerate(value):
            if entry["username"] == name:
                return _Found(file=file, source=source, index=index, entry=entry)
    raise BadSetting(f"account {command}: the file of {name!r} has just gone")


def token(arguments: Arguments) -> int:
    """Print a token for an account; needs read access to the data directory."""
    if len(arguments.positionals) != 1:
        raise BadSetting("token: expected the name of an account")
    name = arguments.positionals[0]
    settings = arguments.settings(os.environ)
    if name != LOCAL_ADMIN.username and name not in _catalog(settings).accounts:
        raise BadSetting(f"token: no account is named {name!r}")
    key = DataDir(settings.storage.state_dir).key("token.key")
    minter = Minter(key=key, clock=Clock(settings.logs.timezone))
    print(minter.mint(name, audience=AUDIENCE, ttl=settings.auth.token_ttl))
    return 0


def _catalog(settings: Settings) -> Catalog:
    return make_loader(
        settings, sealer_of(DataDir(settings.storage.state_dir)), callout=None
    ).load()


def _check_roles(roles: list[str], catalog: Catalog) -> None:
    known = {EVERYTHING.name, *catalog.roles}
    if not roles:
        raise BadSetting(f"account add: give --roles=; there are: {', '.join(sorted(known))}")
    for role in roles:
        if role not in known:
            there = ", ".join(sorted(known))
            raise BadSetting(f"account add: no role is named {role!r}; there are: {there}")


def _write(folder: Path, name: str, text: str) -> Path:
    """Create the plugin file atomically, since a running APIGW reloads it immediately."""
    file = folder / f"{name}.yml"
    draft = folder / f".{name}.draft"
    try:
        # Plugin folders must not be writable by other users, regardless of the umask.
        folder.mkdir(mode=0o755, exist_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        sync(draft)
        os.link(draft, file)
    except OSError as error:
        raise BadResource(f"{file}: cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    return file


COMMANDS = {
    "account": Command(
        run=account,
        summary="add an account and show its API key once, give it a new key beside the one it has,"
        " or take the older one away",
        usage="add NAME --roles=ROLE[,ROLE] | rotate NAME | retire NAME",
        flags=(*DIRECTORY_FLAGS, "timezone"),
        own_flags={"--roles=ROLE[,ROLE]": "roles of the account, 'admin' or those of Role plugins"},
    ),
    "token": Command(
        run=token,
        summary="print a token for an account",
        usage="NAME",
        flags=(*DIRECTORY_FLAGS, "token_ttl"),
    ),
}
