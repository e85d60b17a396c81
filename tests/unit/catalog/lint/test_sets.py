"""Rules that look at all plugins together, at keys, and at files that are not read."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from qmonus_lite.catalog.lint.contract import FINISH, GATES, HANDLE, PUBLISHED, REQUEST, RESPONSE
from qmonus_lite.catalog.lint.rules import rules
from qmonus_lite.errors import Refusal
from qmonus_lite.events.envelope import UPLOADED, UPLOADING, Ids
from qmonus_lite.lambdas.handle import Handle
from qmonus_lite.routing.message import ScriptRequest, ScriptResponse
from qmonus_lite.routing.script_results import Finish
from tests.unit.catalog.plugin_folder import Folder, handler

GATE, KEPT = "APIGW.OnFileUploading", "APIGW.OnFileUploaded"
SCHEMA = """\
- authorities: [a]
  proxy: {{path: /r, authorization: {{auth_mode: none}}}}
  spec:
  - method: POST
    schema: {{request: {{body: {0}}}}}
"""


def found(folder: Folder) -> list[str]:
    """What is found, each as file:line:column: rule."""
    return [
        f"{Path(warning.file).name}:{warning.line}:{warning.column}: {warning.rule}"
        for warning in folder.load().warnings
    ]


def message(folder: Folder) -> str:
    [warning] = folder.load().warnings
    return warning.message


@pytest.mark.parametrize(
    ("event", "near"),
    [
        ("APIGW.OnFileUplaoding", GATE),
        ("APIGW.OnFileUpload", KEPT),
        ("apigw.onFileUploading", GATE),
        ("OnFileUploading", GATE),
        ("apigw_OnFileUploaded", KEPT),
        ("APIGW.OnFileReceived", ""),
        ("APIGW.Other", ""),
    ],
)
def test_finds_events_that_are_never_published(folder: Folder, event: str, near: str) -> None:
    folder.put("a.yml", handler("a", event))

    assert found(folder) == ["a.yml:2:1: unknown-event"]
    assert f"no event {event!r} is ever published" in message(folder)
    assert not near or f"did you mean {near!r}?" in message(folder)


@pytest.mark.parametrize("event", [GATE, KEPT, "Sample", "File.Uploaded", "Uploading"])
def test_leaves_other_events_alone(folder: Folder, event: str) -> None:
    folder.put("a.yml", handler("a", event))

    assert found(folder) == []


def test_finds_references_to_events_without_a_handler(folder: Folder) -> None:
    folder.put("a.yml", handler("a", KEPT, "await lambda_event('Noboddy')") + "success: Done\n")
    folder.put(
        "b.yml", handler("b", "Doen", "await lambda_event(event['x'])") + "failure: Nobody\n"
    )
    folder.put("c.yml", handler("c", "Nobody"))

    assert found(folder) == [
        "a.yml:5:26: event-nobody-handles",
        "a.yml:6:1: event-nobody-handles",
    ]
    first, second = (warning.message for warning in folder.load().warnings)
    assert first == "lambda_event: no plugin handles 'Noboddy'; did you mean 'Nobody'?"
    assert second == "success: no plugin handles 'Done'; did you mean 'Doen'?"


def test_finds_events_that_lead_back(folder: Folder) -> None:
    folder.put("a.yml", handler("a", "A") + "success: B\n")
    folder.put("b.yml", handler("b", "B") + "failure: A\n")
    folder.put("c.yml", handler("c", "C") + "success: A\n")
    folder.put("d.yml", handler("d", "D") + "success: D\n")

    assert found(folder) == [f"{name}.yml:6:1: event-loop" for name in "abd"]


def test_finds_config_plugins_and_keys_that_are_not_there(folder: Folder) -> None:
    folder.put("c.yml", "name: handson\nvalues: {prefix: /a, deep: {x: 1}}\n")
    folder.put(
        "a.yml",
        "name: a\nevent: E\nscript: |-\n  async def run(event, handle):\n"
        "      await get_service_config('hadnson')\n"
        "      good = await get_service_config('handson', mu_conversion=True)\n"
        "      good.prefix, good.deep.x, good.get('y'), good.items()\n"
        "      good.prefx\n"
        "      await get_service_config(event['name'])\n",
    )

    assert found(folder) == ["a.yml:5:32: unknown-config", "a.yml:8:7: unknown-config-key"]
    first, second = (warning.message for warning in folder.load().warnings)
    assert first.endswith("did you mean 'handson'?")
    assert second == "Config 'handson' has no 'prefx'; did you mean 'prefix'?"


def test_finds_methods_of_roles_that_are_none(folder: Folder) -> None:
    folder.put(
        "a.yml", "- name: r\n  authorities:\n  - {regex: /u, methods: [get, PUTT, CONNECT]}\n"
    )

    assert found(folder) == ["a.yml:3:32: role-method"]
    assert "did you mean 'PUT'?" in message(folder)


@pytest.mark.parametrize(
    ("role", "more", "finds"),
    [
        ("{regex: /upload/, methods: [PUT]}", "", True),
        ("{regex: /r, methods: [GET]}", "", True),
        ("{regex: /r, methods: [POST]}", "", False),
        ("{regex: /upload/, methods: [PUT]}", "- {username: u, role: admin}\n", False),
        ("{regex: /upload/, methods: [PUT]}", handler(line="await callout(path='/r')"), False),
        ("{regex: /upload/, methods: [PUT]}", handler(line="await callout(path=event)"), False),
        ("{regex: /upload/, methods: [PUT]}", handler(line="await callout(path='/x')"), True),
    ],
)
def test_finds_routes_that_no_role_allows(
    folder: Folder, role: str, more: str, finds: bool
) -> None:
    folder.put("r.yml", SCHEMA.format("{}").replace(", authorization: {auth_mode: none}", ""))
    folder.put("role.yml", f"- name: up\n  authorities:\n  - {role}\n")
    if more:
        folder.put("more.yml", more)

    assert found(folder) == ["r.yml:2:11: route-no-role"] * finds


@pytest.mark.parametrize(
    ("change", "place", "hint"),
    [
        (("request:", "requests:"), "5:14", "did you mean 'request'?"),
        (("body:", "boddy:"), "5:24", "did you mean 'body'?"),
        (
            ("schema: {", "body: {a: 1}\n    schema: {"),
            "5:5",
            "belongs to spec.schema.request.body",
        ),
        (("authorization", "authorisation"), "2:21", "did you mean 'authorization'?"),
        (
            ("path: /r,", "path: /r, auth_mode: none,"),
            "2:21",
            "belongs to proxy.authorization.auth",
        ),
        (("path: /r,", "path: /r, zzz: 1,"), "2:21", "known are authorization, path, scheme"),
    ],
)
def test_finds_keys_that_nothing_reads(
    folder: Folder, change: tuple[str, str], place: str, hint: str
) -> None:
    folder.put("r.yml", SCHEMA.format("{}").replace(*change))

    assert found(folder) == [f"r.yml:{place}: unknown-key"]
    assert hint in message(folder)


def test_leaves_book_keeping_of_qmonus_alone(folder: Folder) -> None:
    schema = SCHEMA.format("{}") + "  version: 3\n  workspace: {a: {b: 1}}\n"
    folder.put("r.yml", schema.replace("{request", "{response: {abnormal: {x: 1}}, request"))

    assert found(folder) == []


@pytest.mark.parametrize(
    ("schema", "rule"),
    [
        ("{propertes: {a: {}}}", "schema-keyword"),
        ("{properties: {a: {format: uiid}}}", "schema-keyword"),
        ("{properties: {a: {format: datetime}}}", "schema-keyword"),
        ("{properties: {a: {tpye: string}}}", "schema-keyword"),
        ("{properties: {a: {items: {patern: x}}}}", "schema-keyword"),
        ("{allOf: [{requried: [a]}]}", "schema-keyword"),
        ("{type: object, name: {type: string}}", "schema-keyword"),
        ("{properties: {name: {}}, required: [nmae]}", "schema-required"),
        ("{items: {properties: {name: {}}, required: [id]}}", "schema-required"),
        ("{properties: {propertes: {}, tpye: {}}}", ""),
        ("{properties: {a: {default: {tpye: x}, enum: [{tpye: x}]}}}", ""),
        ("{required: [a]}", ""),
        ("{properties: {a: {}}, allOf: [{required: [a]}]}", ""),
        ("{properties: {a: {}}, required: [b], patternProperties: {b: {}}}", ""),
        ("{example: 1, x-own: {type: a}, nullable: true, definitions: {}}", ""),
        ("{myOwnWord: 1}", ""),
    ],
)
def test_finds_misspelt_keywords_of_schemas(folder: Folder, schema: str, rule: str) -> None:
    folder.put("r.yml", SCHEMA.format(schema))

    assert [warning.rule for warning in folder.load().warnings] == ([rule] if rule else [])


def test_finds_what_was_a_header_and_is_nothing_now(folder: Folder) -> None:
    folder.put("a.yml", handler("a", GATE, "event.get('account'); event.get('approved')"))
    folder.put("b.yml", handler("b", KEPT, "event.get('seen'); event.get('X-Seen')"))
    folder.put("c.yml", handler("c", "Own", "event.get('anything')"))

    assert found(folder) == ["a.yml:5:39: event-get-header", "b.yml:5:17: event-get-header"]
    folder.put("a.yml", handler("a", GATE, "event['seen'] = 1"))
    assert found(folder) == []


def test_notes_that_a_permission_hides_no_other_gate(folder: Folder) -> None:
    folder.put("a.yml", handler("a", GATE, "await handle.terminate(200)"))
    assert found(folder) == []
    folder.put("b.yml", handler("b", GATE, "await handle.terminate()"))

    [note] = folder.load().warnings
    assert (note.rule, note.level, note.line) == ("gate-allow", "note", 5)
    assert "b still run" in note.message


def test_notes_a_route_that_may_run_longer(folder: Folder) -> None:
    text = (
        "- authorities: [a]\n  proxy: {path: /r}\n  request_forbidden_process: |-\n"
        "    async with aiohttp.ClientSession() as s:\n      pass\n"
    )
    folder.put("r.yml", text)
    assert [(warning.rule, warning.level) for warning in folder.load().warnings] == [
        ("route-timeout", "note")
    ]

    folder.put("r.yml", text + "  timeout: 60\n")
    assert found(folder) == []


def test_finds_a_timeout_that_is_longer_than_the_question(folder: Folder) -> None:
    folder.put("a.yml", handler("a", GATE) + "timeout: 60\n")
    folder.put("b.yml", handler("b", KEPT) + "timeout: 60\n")

    assert found(folder) == ["a.yml:6:1: gate-slow"]


def test_finds_files_of_qmonus_that_are_not_run(folder: Folder) -> None:
    folder.put("a.yml", "name: h\nevents: E\ncode: |-\n  x = 1\n")

    assert found(folder) == ["a.yml:1:1: unsupported-kind"]
    assert message(folder).endswith("for a handler of an event write 'event:' and 'script:'")


@pytest.mark.parametrize(
    ("name", "finds"),
    [
        ("GATE.YML", True),
        ("gate.Yaml", True),
        ("gate.yml.txt", True),
        ("gate.yaml.TXT", True),
        ("gate.ymll", True),
        ("gate.yam", True),
        ("gate.py", True),
        ("deep/gate.json", True),
        ("README.md", False),
        ("notes.txt", False),
        ("gate.yml.bak", False),
        ("gate.yml~", False),
        (".gate.YML", False),
        ("gate", False),
    ],
)
def test_finds_files_that_look_like_plugins_and_are_not_read(
    folder: Folder, name: str, finds: bool
) -> None:
    folder.put(name, handler())

    assert found(folder) == [f"{Path(name).name}:1:1: file-ignored"] * finds
    if finds:
        assert folder.loader.stamp()


def test_finds_links_to_folders(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (folder.path / "more").symlink_to(tmp_path / "real")

    assert found(folder) == ["more:1:1: file-ignored"]


def test_knows_the_events_and_the_handle_of_this_release() -> None:
    public = {name for name in dir(Handle(Refusal(), Ids())) if not name.startswith("_")}

    assert {UPLOADING, UPLOADED} == set(PUBLISHED)
    assert UPLOADING in GATES and UPLOADED not in GATES
    # `close` and `refusal` are for the chain that runs the handler.
    assert public - {"close", "refusal"} <= HANDLE


def test_the_rules_know_what_scripts_of_routes_are_given() -> None:
    assert {field.name for field in fields(ScriptRequest)} == REQUEST
    assert {field.name for field in fields(ScriptResponse)} == RESPONSE
    assert set(inspect.signature(Finish()).parameters) == FINISH


def test_every_rule_has_an_id_of_its_own_and_says_what_it_finds() -> None:
    ids = [rule.id for rule in rules()]

    assert len(set(ids)) == len(ids)
    assert all(rule.finds and rule.id == rule.id.lower() for rule in rules())


def test_a_rule_that_fails_stops_no_load(
    folder: Folder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object) -> None:
        raise RecursionError

    monkeypatch.setattr("qmonus_lite.catalog.lint.linter._of_script", fail)
    folder.put("a.yml", handler("a", KEPT) + "success: Gone\n")

    assert found(folder) == ["a.yml:6:1: event-nobody-handles"]
    assert "failed" in caplog.text


def test_what_was_found_in_a_file_is_kept_until_it_changes(folder: Folder) -> None:
    folder.put("a.yml", handler("a", GATE, "return 1"))
    folder.put("b.yml", handler("b", GATE))
    first = folder.load().warnings
    folder.put("b.yml", handler("b", GATE, "return 2"))
    second = folder.load().warnings
    folder.put("a.yml", handler("a", GATE))

    assert len(first) == 1 and second[:1] == first and len(second) == 2
    assert folder.load().warnings == second[1:]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("plugins", []),
        # Until it is sealed, which is the first step of the tutorial.
        ("docs/examples/s3", ["values.secret_access_key looks like a secret"]),
        ("docs/examples/forward", []),
    ],
)
def test_our_own_samples_give_no_warnings(folder: Folder, place: str, expected: list[str]) -> None:
    for file in (Path(__file__).parents[4] / place).glob("*.yml"):
        folder.put(file.name, file.read_text())

    found = [warning for warning in folder.load().warnings if warning.level == "warning"]
    assert [warning.message.partition(" and stands")[0] for warning in found] == expected
