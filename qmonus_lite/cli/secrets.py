"""Commands `config seal`, `config show` and `config rotate`: secrets of Config plugins."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qmonus_lite.auth.sealing import KEY, NEXT_KEY, CannotOpen, Sealer, sealer_of
from qmonus_lite.catalog import files
from qmonus_lite.catalog.builders import sealed_location, sealed_values
from qmonus_lite.catalog.document import (
    BadDocument,
    Document,
    Env,
    Pointer,
    Sealed,
    dump,
)
from qmonus_lite.catalog.kinds import CONFIG, detect_kind
from qmonus_lite.catalog.secret_values import masked
from qmonus_lite.catalog.text_edits import replace_scalars
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.rewriting import replace
from qmonus_lite.compose.plugin_loader import make_loader, make_reading_loader
from qmonus_lite.datadir import DataDir
from qmonus_lite.errors import BadResource, BadSetting

#: Lock file held while sealing, so that no value is sealed with a key that is being rotated out.
_LOCK = "config.lock"


def config(arguments: Arguments) -> int:
    """Run a subcommand: seal values of a file, show a Config plugin masked, or rotate the key."""
    match arguments.positionals:
        case ("seal", file, *keys):
            return seal(arguments, Path(file), keys)
        case ("show", name):
            return show(arguments, name)
        case ("rotate",):
            return rotate(arguments)
    raise BadSetting("config: expected 'seal FILE [KEY ...]', 'show NAME' or 'rotate'")


def seal(arguments: Arguments, file: Path, keys: list[str]) -> int:
    """Encrypt values in place: the named keys (`a.b` if nested), or all texts and numbers."""
    with _data_dir(arguments).alone(_LOCK):
        return _seal(sealer_of(_data_dir(arguments)), file, keys)


def _seal(sealer: Sealer, file: Path, keys: list[str]) -> int:
    document = _read(file)
    chosen = _chosen(document, keys, file)
    sealed: dict[Pointer, Sealed] = {}
    for pointer, value in chosen.items():
        text = sealer.seal(str(value), location=sealed_location(file.name, pointer))
        sealed[("values", *pointer)] = Sealed(text)
    if sealed:
        replace(file, replace_scalars(document.source, sealed))
    print(f"{file}: sealed {len(sealed)} value(s)")
    return 0


def show(arguments: Arguments, name: str) -> int:
    """Print a Config plugin with its secrets masked."""
    catalog = make_reading_loader(arguments.settings(os.environ)).load()
    if name not in catalog.configs:
        known = ", ".join(sorted(catalog.configs)) or "none"
        raise BadSetting(f"config show: no Config plugin is named {name!r}; there are: {known}")
    print(dump({"name": name, "values": masked(catalog.configs[name].values)}), end="")
    return 0


def rotate(arguments: Arguments) -> int:
    """Create a new key, and re-encrypt every sealed value of the plugin folders with it.

    Until all values are re-encrypted both keys exist, and every process opens values with either
    key: a rotation may be interrupted at any point, and the next `rotate` resumes it.
    """
    settings = arguments.settings(os.environ)
    data_dir = _data_dir(arguments)
    with data_dir.alone(_LOCK):
        before, after = Sealer(key=data_dir.key(KEY)), Sealer(key=data_dir.key(NEXT_KEY))
        # Raises before anything is changed if a value opens with neither key.
        make_loader(settings, sealer_of(data_dir), callout=None).load()
        done = 0
        while changed := sum(
            _reseal(file, before, after) for file in files.files(settings.plugin_dirs)
        ):
            # Repeat, since files may have been added or changed concurrently.
            done += changed
        data_dir.promote_key(NEXT_KEY, KEY)
    print(f"sealed {done} value(s) with a new key; the old key is gone")
    return 0


def _reseal(file: Path, before: Sealer, after: Sealer) -> int:
    """Re-encrypt values not yet sealed with `after`; returns their number."""
    document = Document(str(file), files.read(file))
    if detect_kind(document.value) is not CONFIG:
        return 0
    new: dict[Pointer, Sealed] = {}
    for pointer, sealed in sealed_values(document.value["values"]):
        location = sealed_location(file.name, pointer)
        try:
            after.open(sealed.text, location=location)
        except CannotOpen:
            text = before.open(sealed.text, location=location)
            new["values", *pointer] = Sealed(after.seal(text, location=location))
    if new:
        replace(file, replace_scalars(document.source, new))
    return len(new)


def _data_dir(arguments: Arguments) -> DataDir:
    return DataDir(arguments.settings(os.environ).storage.state_dir)


def _read(file: Path) -> Document:
    try:
        document = Document(str(file), file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadResource(f"{file}: cannot be read: {error}") from None
    except BadDocument as error:
        raise BadResource(str(error)) from None
    if not isinstance(document.value, Mapping) or "values" not in document.value:
        raise BadResource(f"{file}: not a Config plugin; expected a mapping with 'values'")
    return document


def _chosen(document: Document, keys: list[str], file: Path) -> dict[Pointer, object]:
    """The plain values to seal, by path below `values`; raises BadSetting for an unknown key."""
    plain = dict(_plain(document.value["values"], ()))
    if not keys:
        return plain
    named = {".".join(map(str, pointer)): pointer for pointer in plain}
    for key in keys:
        if key not in named:
            known = ", ".join(sorted(named)) or "none"
            raise BadSetting(f"{file}: no plain value {key!r} to seal; there are: {known}")
    return {named[key]: plain[named[key]] for key in keys}


def _plain(value: Any, pointer: Pointer) -> Iterator[tuple[Pointer, object]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _plain(part, (*pointer, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _plain(part, (*pointer, index))
    elif value is not None and not isinstance(value, (bool, Env, Sealed)):
        # Sealed values open as text, and the text "False" would be truthy.
        yield pointer, value


COMMANDS = {
    "config": Command(
        run=config,
        summary="seal values of a Config plugin in place, show one with its secrets masked, or"
        " change the key of all",
        usage="seal FILE [KEY ...] | show NAME | rotate",
    ),
}
