"""Each import contract of setup.cfg is broken at least once, and import-linter finds it.

The imports of the package are read once; each case adds one import to a copy of that graph.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("importlinter")

from grimp import ImportGraph, build_graph
from importlinter.api import read_configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract
from importlinter.contracts.protected import ProtectedContract

PACKAGE = "qmonus_lite"
CONFIGURATION = read_configuration(str(Path(__file__).parents[2] / "setup.cfg"))
CONTRACTS = {options["id"]: options for options in CONFIGURATION["contracts_options"]}
TYPES: dict[str, type[ForbiddenContract | LayersContract | ProtectedContract]] = {
    "forbidden": ForbiddenContract,
    "layers": LayersContract,
    "protected": ProtectedContract,
}

#: By contract: imports that break it, as `importer -> imported`; modules of the package are named
#: without it. A module that does not exist is made.
BREACHES = {
    "layers": (
        "events.log -> .event_logs.sqlite.event_log",
        "events.query -> .transports.local",
        "events.transport -> .transports.http.transport",
        "events.envelope -> .worker.app",
        "events.known_handlers -> .apigw.dispatch",
        "transports.local -> .worker.limits",
        "transports.heartbeat -> .compose.shared",
        "database.database -> .events.log",
        "event_logs.memory -> .apigw.dispatch",
        "event_logs.memory -> .stores.memory",
        "stores.memory -> .transports.local",
        "uploads.service -> .routing.pipeline",
        "observations -> .settings.values",
        "cli.main -> .module_of_no_layer",
    ),
    "domain": (
        "uploads.quota -> .stores.file.store",
        "uploads.receipt -> .stores.memory",
        "uploads.names -> .http.request",
        "uploads.request -> .apigw.dispatch",
        "uploads.lifecycle -> .writer.service",
        "uploads.batching -> .event_logs.other",
        "uploads.keyed_lock -> .transports.other",
        "events.dispatcher -> .event_logs.memory",
        "events.workers -> .transports.http.worker_registry",
        "events.envelope -> .worker.app",
        "events.known_handlers -> .apigw.dispatch",
        "routing.backend -> .http.request",
        "lambdas.chain -> .transports.local",
        "errors -> .stores.memory",
    ),
    "http": (
        "http.pipeline -> .uploads.service",
        "http.request -> .routing.pipeline",
        "http.body -> .events.log",
        "http.limits -> .settings.values",
        "headers -> .scripting.runner",
    ),
    "tornado": (
        "uploads.store -> tornado",
        "events.ordering -> tornado",
        "apigw.endpoint -> tornado",
        "worker.server -> tornado",
        "transports.http.codec -> tornado",
        "scripting.runner -> tornado",
        "lambdas.handle -> tornado",
    ),
    "aiohttp": (
        "events.outcome -> aiohttp",
        "transports.http.client -> aiohttp",
        "routing.forward -> aiohttp",
    ),
    "sqlite": (
        "uploads.accepted -> sqlite3",
        "events.inbox -> sqlite3",
        "event_logs.sqlite.event_log -> sqlite3",
        "transports.http.signature -> sqlite3",
        "routing.match -> sqlite3",
    ),
    "yaml": ("catalog.loader -> ruamel", "cli.plugins -> ruamel"),
    "json-schema": ("routing.validation -> jsonschema_rs",),
    "msgspec": ("writer.ipc -> msgspec", "events.envelope -> msgspec"),
    "script-libraries": (
        "stores.memory -> aiobotocore",
        "stores.memory -> aiofiles",
        "scripting.runner -> box",
        "schema -> jsonschema",
    ),
    "boto": (
        "stores.memory -> boto3",
        "stores.file.store -> botocore",
        "scripting.builtins.names -> botocore",
    ),
    "nats": ("event_logs.memory -> nats", "transports.local -> nats", "stores.memory -> nats"),
    "prometheus": ("http.pipeline -> prometheus_client", "observations -> prometheus_client"),
}
#: By contract: imports of modules that do not exist yet and may import their library.
ALLOWED = {
    "boto": ("stores.s3 -> boto3", "stores.s3.client -> botocore"),
    "nats": ("event_logs.jetstream -> nats", "event_logs.jetstream.stream -> nats"),
    "prometheus": ("metrics -> prometheus_client", "metrics.registry -> prometheus_client"),
}


def cases(imports: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(contract, line) for contract, lines in imports.items() for line in lines]


@pytest.fixture(scope="module")
def package() -> ImportGraph:
    """The imports of the package."""
    return build_graph(PACKAGE, include_external_packages=True, cache_dir=None)


def kept(contract: str, graph: ImportGraph) -> bool:
    options: dict[str, Any] = CONTRACTS[contract]
    law = TYPES[options["type"]](options["name"], CONFIGURATION["session_options"], options)
    # A check removes the imports to ignore from its graph.
    return law.check(copy.deepcopy(graph), verbose=False).kept


def with_import(graph: ImportGraph, line: str) -> ImportGraph:
    """A copy of the graph with an import, and with its two modules."""
    changed = copy.deepcopy(graph)
    importer, imported = line.split(" -> ")
    importer = f"{PACKAGE}.{importer}"
    if imported.startswith("."):
        imported = PACKAGE + imported
    for module in (importer, imported):
        if module not in changed.modules:
            changed.add_module(module, is_squashed=not module.startswith(PACKAGE))
    changed.add_import(importer=importer, imported=imported, line_number=1, line_contents=line)
    return changed


def test_each_contract_is_broken_by_a_case() -> None:
    assert set(BREACHES) == set(CONTRACTS)
    assert all(BREACHES.values())


@pytest.mark.parametrize("contract", list(CONTRACTS))
def test_the_package_keeps_each_contract(package: ImportGraph, contract: str) -> None:
    assert kept(contract, package)


@pytest.mark.parametrize(("contract", "line"), cases(BREACHES))
def test_a_forbidden_import_is_found(package: ImportGraph, contract: str, line: str) -> None:
    assert not kept(contract, with_import(package, line))


@pytest.mark.parametrize(("contract", "line"), cases(ALLOWED))
def test_an_allowed_import_is_kept(package: ImportGraph, contract: str, line: str) -> None:
    assert kept(contract, with_import(package, line))


@pytest.mark.parametrize("line", [line for _, line in cases(BREACHES)])
def test_each_case_names_an_importer_that_exists(package: ImportGraph, line: str) -> None:
    importer = line.split(" -> ")[0]
    assert f"{PACKAGE}.{importer}" in package.modules
