"""`account add`, `token`: who may use this APIGW."""

import os
import re
from pathlib import Path

from qmonus_lite.auth import apikey
from qmonus_lite.auth.account import EVERYTHING, LOCAL_ADMIN
from qmonus_lite.auth.gatekeeper import AUDIENCE
from qmonus_lite.auth.sealing import Sealer
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.catalog.document import dump
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import PLACES, Command
from qmonus_lite.clock import Clock
from qmonus_lite.compose import make_loader
from qmonus_lite.datadir import DataDir
from qmonus_lite.errors import BadPlace, BadSetting
from qmonus_lite.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def account(arguments: Arguments) -> int:
    """Write an account plugin and show its API key, this once."""
    match arguments.words:
        case ("add", name):
            return add(arguments, name)
    raise BadSetting("account: expected 'add NAME --roles=ROLE[,ROLE]'")


def add(arguments: Arguments, name: str) -> int:
    """Make the account."""
    settings = arguments.settings(os.environ, own=("roles",))
    if not _NAME.fullmatch(name):
        raise BadSetting(f"account add: {name!r}: expected letters, digits, and . _ @ - between")
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
        "created_at": Clock(settings.timezone).moment().isoformat(timespec="seconds"),
    }
    file = _write(settings.plugin_dirs[0] / "accounts", name, dump([entry]))
    print(f"wrote {file}")
    print(f"API key of {name}, shown this once: {key}")
    return 0


def token(arguments: Arguments) -> int:
    """Print a token for an account, for whoever may read the data directory."""
    if len(arguments.words) != 1:
        raise BadSetting("token: expected the name of an account")
    name = arguments.words[0]
    settings = arguments.settings(os.environ)
    if name != LOCAL_ADMIN.username and name not in _catalog(settings).accounts:
        raise BadSetting(f"token: no account is named {name!r}")
    key = DataDir(settings.state_dir).key("token.key")
    minter = Minter(key=key, clock=Clock(settings.timezone))
    print(minter.mint(name, audience=AUDIENCE, ttl=settings.token_ttl))
    return 0


def _catalog(settings: Settings) -> Catalog:
    sealer = Sealer(key=DataDir(settings.state_dir).key("config.key"))
    return make_loader(settings, sealer, callout=None).load()


def _check_roles(roles: list[str], catalog: Catalog) -> None:
    known = {EVERYTHING.name, *catalog.roles}
    if not roles:
        raise BadSetting(f"account add: give --roles=; there are: {', '.join(sorted(known))}")
    for role in roles:
        if role not in known:
            there = ", ".join(sorted(known))
            raise BadSetting(f"account add: no role is named {role!r}; there are: {there}")


def _write(folder: Path, name: str, text: str) -> Path:
    """Put the plugin in place whole: a running APIGW takes it over at once."""
    file = folder / f"{name}.yml"
    draft = folder / f".{name}.draft"
    try:
        folder.mkdir(exist_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        os.link(draft, file)
    except OSError as error:
        raise BadPlace(f"{file}: cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    return file


COMMANDS = {
    "account": Command(
        run=account,
        summary="add an account and show its API key once",
        usage="add NAME --roles=ROLE[,ROLE]",
        flags=(*PLACES, "timezone"),
        own_flags={"--roles=ROLE[,ROLE]": "roles of the account, 'admin' or those of Role plugins"},
    ),
    "token": Command(
        run=token,
        summary="print a token for an account",
        usage="NAME",
        flags=(*PLACES, "token_ttl"),
    ),
}
