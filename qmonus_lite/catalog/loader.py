"""Load plugin folders into a catalog, or report every fault of every file at once.

Any `.yml` or `.yaml` below a folder counts, except hidden ones. Nothing is loaded unless all files
are valid.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qmonus_lite.auth.account import EVERYTHING, Account, Role
from qmonus_lite.catalog import files
from qmonus_lite.catalog.builders import BuildContext, PluginEntry, build
from qmonus_lite.catalog.document import BadDocument, Document, Pointer
from qmonus_lite.catalog.kinds import KINDS, Kind, detect_kind
from qmonus_lite.catalog.lint.linted_plugins import LintedPlugins, near
from qmonus_lite.catalog.lint.linter import Linter
from qmonus_lite.catalog.lint.warning import PluginWarning
from qmonus_lite.catalog.plugins import (
    Catalog,
    ConfigPlugin,
    LambdaPlugin,
    Listed,
    Plugin,
    Route,
    Unsupported,
)
from qmonus_lite.errors import BadPlugins, Fault
from qmonus_lite.scripting.origin import remember_source
from qmonus_lite.values import changed

#: Path of the plugin's name, for kinds that do not have it under `name`.
_NAMED_BY: Mapping[str, Pointer] = {"Account": ("username",), "Routing": ("proxy", "path")}


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin and its position."""

    plugin: Plugin
    document: Document
    pointer: Pointer
    kind: str

    @property
    def value(self) -> Any:
        """The plugin as written in the file."""
        value = self.document.value
        for step in self.pointer:
            value = value[step]
        return value

    @property
    def name(self) -> str:
        """Name of the plugin."""
        if isinstance(self.plugin, Account):
            return self.plugin.username
        return self.plugin.template.text if isinstance(self.plugin, Route) else self.plugin.name

    @property
    def identity(self) -> str:
        """Unique key within the kind; two routes that differ only in variable names clash."""
        return self.plugin.template.shape if isinstance(self.plugin, Route) else self.name


class Loader:
    """Loads one set of folders."""

    def __init__(self, folders: Sequence[Path], context: BuildContext) -> None:
        self._folders = tuple(folders)
        self._context = context
        # Parsed documents by path: parsing is slow, and most files do not change.
        self._read: dict[Path, Document] = {}
        self._linter = Linter(context.question_limit)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The plugin folders."""
        return self._folders

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """State of the folders; changes when a plugin file changes; raises OSError."""
        return files.stamp(self._folders)

    def load(self) -> Catalog:
        """Load the folders as they are now; raises BadPlugins with every fault."""
        try:
            return self._load()
        except OSError as error:
            raise BadPlugins([files.unreadable(error)]) from None

    def _load(self) -> Catalog:
        faults = list(files.folder_faults(self._folders))
        documents = self._documents(faults)
        found = [loaded for document in documents for loaded in self._build(document, faults)]
        faults += _clashes(found)
        faults += _missing_roles(found)
        if faults:
            raise BadPlugins(sorted(faults))
        fingerprint = hashlib.sha256()
        for document in documents:
            fingerprint.update(f"{self._within(document.file)}\0{document.source}\0".encode())
            remember_source(document.file, document.source)
        catalog = _catalog(found, fingerprint.hexdigest())
        return changed(
            catalog,
            files={entry.file: _hash(entry.source) for entry in documents},
            commented_out=tuple(entry.file for entry in documents if entry.is_commented_out),
            warnings=self._warnings(found, catalog),
        )

    def _warnings(
        self, found: Sequence[LoadedPlugin], catalog: Catalog
    ) -> tuple[PluginWarning, ...]:
        plugins = [
            self._linter.plugin(loaded.document, loaded.pointer, _kind(loaded), loaded.value)
            for loaded in found
        ]
        ignored = list(files.ignored(self._folders))
        return self._linter.warnings(
            LintedPlugins(plugins=plugins, catalog=catalog, ignored=ignored)
        )

    def _within(self, file: str) -> str:
        """Folder index and relative path: the same on machines with different folders."""
        for number, folder in enumerate(self._folders):
            if file.startswith(f"{folder}/"):
                return f"{number}{file.removeprefix(str(folder))}"
        return file

    def _documents(self, faults: list[Fault]) -> list[Document]:
        """The current files; those that cannot be read are added to the faults."""
        before, self._read = self._read, {}
        for path in files.files(self._folders):
            try:
                source = files.read(path)
                document = before.get(path)
                if document is None or document.source != source:
                    document = Document(str(path), source)
                self._read[path] = document
            except BadDocument as error:
                faults.append(error.fault)
        return list(self._read.values())

    def _build(self, document: Document, faults: list[Fault]) -> Iterator[LoadedPlugin]:
        kind = detect_kind(document.value)
        if isinstance(kind, str):
            name = str(document.value.get("name", Path(document.file).stem))
            yield LoadedPlugin(Unsupported(name=name, kind=kind), document, (), kind)
            return
        if kind is None:
            if document.is_commented_out:
                return
            faults.append(document.fault((), _no_kind(document.value)))
            return
        for pointer, value in _entries(document, kind):
            entry = PluginEntry(document, kind, pointer, value)
            if plugin := build(entry, self._context):
                yield LoadedPlugin(plugin, document, pointer, kind.name)
            faults += entry.faults


def _hash(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _entries(document: Document, kind: Kind) -> Iterator[tuple[Pointer, object]]:
    if not kind.listed:
        yield (), document.value
        return
    for index, value in enumerate(document.value):
        yield (index,), value


def _no_kind(value: object) -> str:
    if value is None:
        return "the file is empty; to switch it off, comment it out"
    shapes = "; ".join(f"{kind.name}: {kind.shape}" for kind in KINDS.values())
    return f"no kind of plugin has this shape; known are {shapes}"


def _clashes(found: Sequence[LoadedPlugin]) -> Iterator[Fault]:
    """A fault for every plugin whose identity another plugin of its kind already has."""
    first: dict[tuple[str, str], LoadedPlugin] = {}
    for loaded in found:
        if isinstance(loaded.plugin, Unsupported):
            continue
        other = first.setdefault((loaded.kind, loaded.identity), loaded)
        if other is not loaded:
            line = other.document.position(other.pointer)[0]
            same = "" if other.name == loaded.name else f" as {other.name!r}"
            message = f"{loaded.kind} {loaded.name!r} exists already{same},"
            message += f" at {other.document.file}:{line}"
            name: Pointer = _NAMED_BY.get(loaded.kind, ("name",))
            yield loaded.document.fault((*loaded.pointer, *name), message)


def _missing_roles(found: Sequence[LoadedPlugin]) -> Iterator[Fault]:
    roles = {loaded.name for loaded in found if isinstance(loaded.plugin, Role)} | {EVERYTHING.name}
    for loaded in found:
        if isinstance(loaded.plugin, Account):
            for role in loaded.plugin.roles:
                if role not in roles:
                    message = f"account {loaded.name!r} has role {role!r}, which no plugin defines"
                    message += near(role, roles)
                    yield loaded.document.fault((*loaded.pointer, "roles"), message)


def _catalog(found: Sequence[LoadedPlugin], fingerprint: str) -> Catalog:
    lambdas: dict[str, list[LambdaPlugin]] = {}
    for loaded in found:
        if isinstance(loaded.plugin, LambdaPlugin):
            lambdas.setdefault(loaded.plugin.event, []).append(loaded.plugin)
    plugins = [loaded.plugin for loaded in found]
    return Catalog(
        lambdas={
            event: tuple(sorted(handlers, key=lambda handler: handler.name))
            for event, handlers in lambdas.items()
        },
        configs={plugin.name: plugin for plugin in plugins if isinstance(plugin, ConfigPlugin)},
        routes=tuple(plugin for plugin in plugins if isinstance(plugin, Route)),
        roles={plugin.name: plugin for plugin in plugins if isinstance(plugin, Role)},
        accounts={plugin.username: plugin for plugin in plugins if isinstance(plugin, Account)},
        listed=tuple(
            Listed(file=loaded.document.file, kind=_kind(loaded), name=loaded.name)
            for loaded in found
        ),
        fingerprint=fingerprint,
    )


def _kind(loaded: LoadedPlugin) -> str:
    return (
        f"{loaded.kind} (not supported)" if isinstance(loaded.plugin, Unsupported) else loaded.kind
    )
