"""From the content of a file to plugin values: what each kind takes, and what it says otherwise."""

from datetime import UTC, datetime
from typing import Any

import pytest

from qmonus_lite.auth import apikey
from qmonus_lite.catalog.plugins import LambdaPlugin
from tests.unit.catalog.plugin_folder import SEALER, Folder, handler


async def run(plugin: LambdaPlugin, event: Any = None) -> Any:
    return await plugin.script.function(event, None)


async def test_builds_a_handler(folder: Folder) -> None:
    folder.put(
        "a.yml",
        handler("a", "E", "return event")
        + "success: Won\nfailure: Lost\ntimeout: 1.5\nversion: 3\n",
    )
    [plugin] = folder.load().lambdas["E"]

    assert (plugin.name, plugin.success, plugin.failure) == ("a", "Won", "Lost")
    assert plugin.timeout == 1.5
    assert await run(plugin, 7) == 7


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("event: E\nscript: |-\n  x\n", ['a.yml:1:1: Lambda plugin: "name" is a required']),
        ("name: a\nevent: E\n", ['a.yml:1:1: Lambda plugin: "script" is a required']),
        (
            "name: 5\nevent: ''\nscript: [x]\n",
            [
                "a.yml:1:1: Lambda plugin, name: 5 is not of type",
                'a.yml:2:1: Lambda plugin, event: "" is shorter than 1',
                'a.yml:3:1: Lambda plugin, script: ["x"] is not of type',
            ],
        ),
        (
            "name: a\nevent: E\nscript: |-\nasync def run(event, handle):\n    pass\n",
            ["a.yml:3:1: script is empty; write 'script: |-' and indent the lines of the script"],
        ),
        ("name: a\nevent: E\nscript:\n", ["a.yml:3:1: script is empty; write 'script: |-'"]),
        (handler() + "timeout: 0\n", ["a.yml:6:1: Lambda plugin, timeout: 0 is less than"]),
        (handler() + "sucess: Won\n", ["a.yml:6:1: unknown key 'sucess'; did you mean 'success'?"]),
        (handler() + "timout: 3\n", ["a.yml:6:1: unknown key 'timout'; did you mean 'timeout'?"]),
        (
            "name: a\nevent: E\nscript: async def run(event, handle) pass\n",
            ["a.yml:3:1: script has to be a literal block: write 'script: |-' and indent it"],
        ),
        (
            handler("a", "E", "return josn"),
            ["a.yml:5:14: a.script: name 'josn' is not defined; did you mean 'json'?"],
        ),
    ],
)
def test_says_what_is_wrong_with_a_handler(folder: Folder, text: str, faults: list[str]) -> None:
    folder.put("a.yml", text)
    found = folder.faults()

    assert len(found) == len(faults)
    assert all(fault.startswith(wanted) for fault, wanted in zip(found, faults, strict=True)), found


@pytest.mark.parametrize("key", ["category", "update", "created_at", "workspace", "description"])
def test_keys_of_other_tools_are_not_misspelt(folder: Folder, key: str) -> None:
    folder.put("a.yml", handler() + f"{key}: x\n")

    assert folder.faults() == []


def test_builds_a_config_with_its_secrets_still_closed(folder: Folder) -> None:
    sealed = SEALER.seal("s3cret", location="a.yml|aws.keys.0")
    folder.put("a.yml", f"name: c\nvalues:\n  aws:\n    keys: [!sealed {sealed}, !env KEY]\n")
    plugin = folder.load().configs["c"]

    assert "s3cret" not in repr(plugin)
    assert plugin.file_name == "a.yml"


@pytest.mark.parametrize(
    ("file", "key"), [("b.yml", "secret"), ("a.yml", "other"), ("a.yml", "secret.deeper")]
)
def test_refuses_a_sealed_value_that_was_moved(folder: Folder, file: str, key: str) -> None:
    sealed = SEALER.seal("s3cret", location=f"{file}|{key}")
    folder.put("a.yml", f"name: c\nvalues:\n  a: 1\n  secret: !sealed {sealed}\n")

    [fault] = folder.faults()
    assert fault.startswith("a.yml:4:3: secret cannot be unsealed: it was sealed with another key")
    assert sealed not in fault


@pytest.mark.parametrize("values", ["[]", "5", "~", "text"])
def test_refuses_values_that_are_no_mapping(folder: Folder, values: str) -> None:
    folder.put("a.yml", f"name: c\nvalues: {values}\n")

    [fault] = folder.faults()
    assert fault.startswith("a.yml:2:1: Config plugin, values: ")


def test_a_fault_of_a_config_shows_no_secret(folder: Folder) -> None:
    sealed = SEALER.seal("s3cret", location="a.yml|x")
    folder.put("a.yml", f"name: c\nvalues: [!sealed {sealed}, !env HOME]\n")

    [fault] = folder.faults()
    assert sealed not in fault and "s3cret" not in fault


def test_builds_roles(folder: Folder) -> None:
    folder.put(
        "a.yml",
        "- name: r\n  static_routing: true\n  authorities:\n"
        "  - {regex: '/apis/examples*', methods: [get, PUT]}\n",
    )
    role = folder.load().roles["r"]

    assert role.static_routing
    assert role.allows("GET", "/apis/example")
    assert not role.allows("DELETE", "/apis/examples")


@pytest.mark.parametrize(
    ("authority", "place"),
    [
        ("{regex: '(', methods: [GET]}", "a.yml:3:6: not a regular expression that"),
        ("{regex: 'a{99999999999}', methods: [GET]}", "a.yml:3:6: not a regular expression that"),
        ("{regex: /}", 'a.yml:3:5: Role plugin, authorities.0: "methods" is a required'),
        ("{regex: /, methods: GET}", "a.yml:3:16: Role plugin, authorities.0.methods"),
        ("{regex: '', methods: [GET]}", "a.yml:3:6: Role plugin, authorities.0.regex"),
    ],
)
def test_refuses_an_authority_that_is_none(folder: Folder, authority: str, place: str) -> None:
    folder.put("a.yml", f"- name: r\n  authorities:\n  - {authority}\n")

    [fault] = folder.faults()
    assert fault.startswith(place)


def test_builds_accounts(folder: Folder) -> None:
    hashed = apikey.digest("key")
    folder.put(
        "a.yml",
        f"- {{username: a, role: admin, api_key_hash: '{hashed}', expire_days: 30,"
        " created_at: 2026-11-22T10:00:00+09:00}\n"
        "- {username: b, password: x, expire_days: 30}\n",
    )
    accounts = folder.load().accounts

    assert accounts["a"].api_key_sha256 == hashed.removeprefix("sha256:")
    assert accounts["a"].roles == ("admin",)
    assert accounts["a"].expires_at == datetime(2026, 12, 22, 1, tzinfo=UTC)
    assert accounts["b"].expires_at is None
    assert (accounts["b"].roles, accounts["b"].api_key_sha256) == ((), None)


@pytest.mark.parametrize(
    ("created", "end"),
    [
        ("2026-11-22T10:00:00Z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("'2026-11-22T10:00:00+09:00'", datetime(2026, 11, 23, 1, tzinfo=UTC)),
        ("2026-11-22 10:00:00", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 23, tzinfo=UTC)),
    ],
)
def test_an_account_ends_so_many_days_after_it_was_made(
    folder: Folder, created: str, end: datetime
) -> None:
    hashed = apikey.digest("key")
    folder.put(
        "a.yml",
        f"- username: u\n  api_key_hash: '{hashed}'\n  expire_days: 1\n  created_at: {created}\n",
    )

    assert folder.load().accounts["u"].expires_at == end


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("  expire_days: 3\n", "a.yml:3:3: expire_days needs 'created_at'"),
        ("  expire_days: 3\n  created_at: soon\n", "a.yml:3:3: expire_days needs 'created_at'"),
        ("  expire_days: 1e300\n  created_at: 2026-11-22\n", "a.yml:3:3: expire_days"),
        ("  expire_days: .nan\n  created_at: 2026-11-22\n", "a.yml:3:3: "),
        ("  expire_days: -1\n", "a.yml:3:3: Account plugin, expire_days"),
        ("  role: admin\n  roles: [admin]\n", "a.yml:3:3: give 'role' or 'roles', not both"),
        ("  roles: admin\n", "a.yml:3:3: Account plugin, roles"),
    ],
)
def test_refuses_an_account_that_is_none(folder: Folder, more: str, fault: str) -> None:
    folder.put("a.yml", f"- username: u\n  api_key_hash: '{apikey.digest('k')}'\n{more}")

    [found] = folder.faults()
    assert found.startswith(fault)


@pytest.mark.parametrize("hashed", ["md5:x", "sha256:", "sha256:" + "A" * 64, "a" * 64, ""])
def test_refuses_a_key_in_another_form(folder: Folder, hashed: str) -> None:
    folder.put("a.yml", f"- username: u\n  api_key_hash: '{hashed}'\n")

    [fault] = folder.faults()
    assert fault.startswith("a.yml:2:3: Account plugin, api_key_hash")


def test_a_handler_may_keep_headers_and_so_may_one_that_follows(folder: Folder) -> None:
    folder.put("a.yml", handler("a", "Told") + "success: Followed\nkeep_headers: [X-Auth-Token]\n")
    folder.put("b.yml", handler("b", "Followed") + "failure: Told\nkeep_headers: [COOKIE]\n")
    folder.put("c.yml", handler("c", "Other") + "keep_headers: [Authorization]\n")
    catalog = folder.load()

    assert catalog.kept_headers("Told") == {"x-auth-token", "cookie"}
    assert catalog.kept_headers("Nobody") == frozenset()


def test_headers_to_be_kept_are_a_list(folder: Folder) -> None:
    folder.put("a.yml", handler() + "keep_headers: Cookie\n")

    assert len(folder.faults()) == 1
    assert "keep_headers" in folder.faults()[0]


def test_the_pattern_of_a_role_is_in_the_form_of_the_paths_it_judges(folder: Folder) -> None:
    folder.put("r.yml", "- name: r\n  authorities:\n  - {regex: '/\u30ab\u3099', methods: [PUT]}\n")

    assert folder.load().roles["r"].allows("PUT", "/ガ")
