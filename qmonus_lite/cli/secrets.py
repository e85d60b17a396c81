"""`config seal`, `config show`: secrets of Config plugins."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qmonus_lite.auth.sealing import Sealer
from qmonus_lite.catalog.builders import place
from qmonus_lite.catalog.document import (
    BadDocument,
    Document,
    Env,
    Pointer,
    Sealed,
    dump,
    replace_scalars,
)
from qmonus_lite.catalog.opening import masked
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.compose import make_loader
from qmonus_lite.datadir import DataDir
from qmonus_lite.errors import BadPlace, BadSetting


def config(arguments: Arguments) -> int:
    """Seal the values of a file, or show a Config plugin masked."""
    match arguments.words:
        case ("seal", file, *keys):
            return seal(arguments, Path(file), keys)
        case ("show", name):
            return show(arguments, name)
    raise BadSetting("config: expected 'seal FILE [KEY ...]' or 'show NAME'")


def seal(arguments: Arguments, file: Path, keys: list[str]) -> int:
    """Encrypt values in place: those named (`a.b` for nested ones), or all texts and numbers."""
    sealer = _sealer(arguments)
    document = _read(file)
    chosen = _chosen(document, keys, file)
    sealed: dict[Pointer, Sealed] = {}
    for pointer, value in chosen.items():
        text = sealer.seal(str(value), place=place(file.name, pointer))
        sealed[("values", *pointer)] = Sealed(text)
    if sealed:
        _write(file, replace_scalars(document.source, sealed))
    print(f"{file}: sealed {len(sealed)} value(s)")
    return 0


def show(arguments: Arguments, name: str) -> int:
    """Print a Config plugin with its secrets masked."""
    settings = arguments.settings(os.environ)
    catalog = make_loader(settings, _sealer(arguments), callout=None).load()
    if name not in catalog.configs:
        known = ", ".join(sorted(catalog.configs)) or "none"
        raise BadSetting(f"config show: no Config plugin is named {name!r}; there are: {known}")
    print(dump({"name": name, "values": masked(catalog.configs[name].values)}), end="")
    return 0


def _sealer(arguments: Arguments) -> Sealer:
    return Sealer(key=DataDir(arguments.settings(os.environ).state_dir).key("config.key"))


def _read(file: Path) -> Document:
    try:
        document = Document(str(file), file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadPlace(f"{file}: cannot be read: {error}") from None
    except BadDocument as error:
        raise BadPlace(str(error)) from None
    if not isinstance(document.value, Mapping) or "values" not in document.value:
        raise BadPlace(f"{file}: not a Config plugin; expected a mapping with 'values'")
    return document


def _chosen(document: Document, keys: list[str], file: Path) -> dict[Pointer, object]:
    """The plain values to seal, by their path below `values`."""
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
        # Sealed values open as text, and the text "False" would count as true.
        yield pointer, value


def _write(file: Path, text: str) -> None:
    """Put the text in place whole, with the mode that the file had."""
    file = file.resolve()
    draft = file.with_name(f".{file.name}.sealing")
    try:
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        draft.chmod(file.stat().st_mode & 0o7777)
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise BadPlace(f"{file}: cannot be written: {error.strerror}") from None


COMMANDS = {
    "config": Command(
        run=config,
        summary="seal values of a Config plugin in place, or show one with its secrets masked",
        usage="seal FILE [KEY ...] | show NAME",
    ),
}
