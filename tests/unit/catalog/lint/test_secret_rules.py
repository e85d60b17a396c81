"""Rules about secrets: where they are found, and what is left alone."""

import pytest

from tests.unit.catalog.lint import test_scripts, test_sets
from tests.unit.catalog.plugin_folder import Folder

ROLE = "- {name: r, authorities: [{regex: /v1/, methods: [GET]}]}\n"


@pytest.mark.parametrize(
    "key",
    "password db_password dbPassword SECRET client-secret token api_key apiKey"
    " secret_access_key private_key".split(),
)
def test_finds_a_secret_that_stands_in_clear(folder: Folder, key: str) -> None:
    folder.put("c.yml", f"name: c\nvalues:\n  a: 1\n  deep: [{{{key}: hush}}]\n")

    assert test_sets.found(folder) == ["c.yml:4:11: secret-in-clear"]
    assert test_sets.message(folder) == (
        f"values.deep.0.{key} looks like a secret and stands here in clear;"
        " write '!env NAME', or seal it with 'qmonus-lite config seal'"
    )


@pytest.mark.parametrize(
    "line",
    [
        "password: !env MAIL_PASSWORD",
        "password: ''",
        "password: {min_length: 12}",
        "token_url: https://example.com/token",
        "sort_key: name",
        "key: images/a.png",
        "secretary: Ann",
        "max_token: 4",
    ],
)
def test_leaves_alone_what_is_no_secret_in_clear(folder: Folder, line: str) -> None:
    folder.put("c.yml", f"name: c\nvalues:\n  {line}\n")

    assert test_sets.found(folder) == []


def test_finds_the_password_of_an_account(folder: Folder) -> None:
    folder.put("r.yml", ROLE)
    folder.put("a.yml", "- username: ann\n  roles: [r]\n  password: hush\n")

    assert test_sets.found(folder) == ["a.yml:3:3: account-password"]
    assert "'qmonus-lite account add'" in test_sets.message(folder)


@pytest.mark.parametrize(
    "line",
    [
        "logger.info('%s', event['headers'])",
        "logger.info(event.headers)",
        "logging.warning(f'got {event[\"headers\"]}')",
        "logger.info('%r', dict(event['headers']))",
    ],
)
def test_finds_all_headers_in_a_log_record(folder: Folder, line: str) -> None:
    script = f"import logging\nasync def gate(event, handle):\n    {line}\n"

    [hit] = test_scripts.found(folder, script)

    assert hit.startswith("logged-headers:3:")
    assert [warning.level for warning in folder.load().warnings] == ["note"]


@pytest.mark.parametrize(
    "line",
    [
        "logger.info('%s', event['headers'].get('User-Agent'))",
        "logger.info('%s', list(event['headers']))",
        "logger.info('%s', event['path'])",
        "str(event['headers'])",
    ],
)
def test_leaves_other_log_records_alone(folder: Folder, line: str) -> None:
    script = f"async def gate(event, handle):\n    {line}\n"

    assert test_scripts.found(folder, script) == []


@pytest.mark.parametrize(
    "line",
    ["KEY = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'", "api_key = 'hush'", "PASSWORD = 'hush'"],
)
def test_finds_a_secret_that_stands_in_a_script(folder: Folder, line: str) -> None:
    script = f"{line}\nasync def gate(event, handle):\n    pass\n"

    assert [hit.partition(":")[0] for hit in test_scripts.found(folder, script)] == [
        "secret-in-script"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "KEY = 'images/a.png'",
        "token = event['headers'].get('X-Token')",
        "PASSWORD = ''",
        "KEY = 'a-key-of-a-dictionary'",
    ],
)
def test_leaves_other_names_of_a_script_alone(folder: Folder, line: str) -> None:
    script = f"async def gate(event, handle):\n    {line}\n"

    assert test_scripts.found(folder, script) == []
