"""Bad input at a start: one clear message, exit status 2, and nothing left running."""

import os
import socket
from collections.abc import Iterator, Sequence

import pytest

from tests.acceptance.harness import Installation
from tests.acceptance.process import processes_with

HANDLER = """\
name: {name}
event: APIGW.OnFileUploaded
script: |-
  async def handler(event, handle):
      logger.info("here")
"""
BROKEN = """\
name: broken
event: APIGW.OnFileUploaded
script: |-
  async def broken(event, handle):
      if event["bytes"] > 1000
          logger.info("not small")
"""
CONFIG = """\
# the key of the outer gate
name: outer
values:
  region: ap-northeast-1
  secret: swordfish
"""
#: Root may write anywhere; without this capability it may not.
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def refused(installation: Installation, *flags: str, within: Sequence[str] = ()) -> str:
    """What `up` says when it is refused."""
    done = installation.run("up", *installation.own_flags, *flags, within=within)
    assert done.returncode == 2, done.stderr
    assert "ready" not in done.stdout
    messages = done.stderr.split("qmonus-lite: ")[1:]
    assert len(messages) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert processes_with(installation.own_flags[0]) == []
    return messages[0]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def may_not_write() -> Sequence[str]:
    """The program that takes away the right to write anywhere, for those who have it."""
    return UNPRIVILEGED if os.geteuid() == 0 else ()


def test_an_unknown_flag_is_answered_with_the_nearest_name(installation: Installation) -> None:
    message = refused(installation, "--file_upload_path=/x/{filename}")

    assert message == (
        "--file_upload_path: no such setting; did you mean --file_upload_api_path?\n"
    )


def test_an_unknown_name_in_the_environment_is_no_better(installation: Installation) -> None:
    installation.environ["QMONUS_LITE_LAMBDA_PROT"] = "9100"

    message = refused(installation)

    assert message == "QMONUS_LITE_LAMBDA_PROT: no such setting; did you mean --lambda_port?\n"


def test_an_unknown_name_in_the_settings_file_is_no_better(installation: Installation) -> None:
    file = installation.folder / "settings.yml"
    file.write_text("log_levle: debug\n")

    message = refused(installation, f"--config={file}")

    assert f"{file}: log_levle: no such setting; did you mean --log_level?" in message


def test_a_value_that_cannot_be_read_is_answered_with_what_was_expected(
    installation: Installation,
) -> None:
    message = refused(installation, "--drain_timeout=soon")

    assert message.startswith("--drain_timeout=soon: expected seconds")


def test_every_fault_of_the_settings_is_reported_with_where_it_was_given(
    installation: Installation,
) -> None:
    installation.environ["QMONUS_LITE_CERTFILE"] = "host.pem"
    file = installation.folder / "settings.yml"
    file.write_text("max_uploads: none\n")

    message = refused(installation, f"--config={file}", "--address=0.0.0.0")

    assert message.splitlines() == [
        "3 faults in the settings:",
        f"{file}: max_uploads=none: expected a whole number from 1",
        "QMONUS_LITE_CERTFILE: --certfile and --keyfile go together: give both or none",
        "--address=0.0.0.0 listens on every interface, and events need one address to carry: give"
        " it as --advertise_address=HOST",
    ]


def test_a_secret_as_a_flag_is_refused_without_being_repeated(installation: Installation) -> None:
    secret = "swordfish-" * 4

    message = refused(installation, f"--event_secret={secret}")

    assert message == (
        "--event_secret: a secret cannot be a flag, since other users of the machine see command"
        " lines: give it as QMONUS_LITE_EVENT_SECRET in the environment, or in the file event.key"
        " of the data directory\n"
    )


def test_a_secret_that_is_too_short_is_refused_without_being_repeated(
    installation: Installation,
) -> None:
    installation.environ["QMONUS_LITE_EVENT_SECRET"] = "swordfish"

    assert refused(installation) == "QMONUS_LITE_EVENT_SECRET: shorter than 32 characters\n"


def test_a_port_in_use_is_named_with_its_flag(installation: Installation, taken: int) -> None:
    installation.port = taken

    message = refused(installation)

    assert message.startswith(f"--port={taken}: port {taken} of 127.0.0.1 is in use")


def test_a_worker_s_port_in_use_is_named_with_its_flag(
    installation: Installation, taken: int
) -> None:
    installation.lambda_port = taken

    message = refused(installation)

    assert message.startswith(f"--lambda_port={taken}: port {taken} of 127.0.0.1 is in use")


def test_a_launch_directory_that_cannot_be_written_is_named(installation: Installation) -> None:
    installation.base.chmod(0o555)

    message = refused(
        installation, f"--data_dir={installation.folder}/state", within=may_not_write()
    )

    assert message.startswith(f"--base_dir={installation.base}: not writable for this user\n")


def test_a_data_directory_that_cannot_be_written_is_named(installation: Installation) -> None:
    place = installation.folder / "unwritable" / "state"
    place.parent.mkdir(mode=0o555)

    message = refused(installation, f"--data_dir={place}", within=may_not_write())

    assert message.startswith(f"--data_dir={place}: cannot be made")
    assert "Permission denied" in message


def test_a_file_in_place_of_a_directory_is_named(installation: Installation) -> None:
    file = installation.file("file", b"")

    assert f"--data_dir={file}" in refused(installation, f"--data_dir={file}")
    assert f"--plugins_base_dirs: {file}" in refused(installation, f"--plugins_base_dirs={file}")


def test_a_plugin_folder_that_is_missing_is_named(installation: Installation) -> None:
    message = refused(installation, "--plugins_base_dirs=plugins,more")

    assert message.startswith("--plugins_base_dirs: more: no folder at ")


def test_a_syntax_error_is_shown_with_its_line_and_column(installation: Installation) -> None:
    place = installation.plugin("broken.yml", BROKEN)

    message = refused(installation)

    assert f"\n{place}:5:31: broken.script: syntax error: expected ':'" in message


def test_every_fault_of_every_plugin_is_listed(installation: Installation) -> None:
    broken = installation.plugin("broken.yml", BROKEN)
    torn = installation.plugin("torn.yml", "name: [torn\n")
    blank = installation.plugin("blank.yml", "")

    message = refused(installation)

    assert message.startswith("3 fault(s)")
    assert all(f"\n{place}:" in message for place in (broken, torn, blank))


def test_two_plugins_of_one_name_are_both_named(installation: Installation) -> None:
    first = installation.plugin("a.yml", HANDLER.format(name="same"))
    second = installation.plugin("b.yml", HANDLER.format(name="same"))

    message = refused(installation)

    assert f"{second}:1:1: Lambda 'same' exists already, at {first}:1" in message


def test_a_config_that_cannot_be_unsealed_is_named_with_its_line(
    installation: Installation,
) -> None:
    place = installation.plugin("outer.yml", CONFIG)
    base = installation.own_flags[0]
    assert installation.run("config", "seal", str(place), "secret", base).returncode == 0
    sealed = place.read_text()
    (installation.data / "config.key").unlink()

    message = refused(installation)

    assert "swordfish" not in sealed + message
    assert f"\n{place}:5:3: secret cannot be unsealed" in message
    assert place.read_text() == sealed


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("upload/{filepath}", "has to start with a slash"),
        ("/{filepath}", "/-/"),
        ("/-/{filename}", "/-/"),
        ("/a//{filename}", "can match nothing"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(
    installation: Installation, template: str, reason: str
) -> None:
    message = refused(installation, f"--file_upload_api_path={template}")

    assert message.startswith(f"--file_upload_api_path={template}: ")
    assert reason in message


def test_a_certificate_that_cannot_be_read_is_named(installation: Installation) -> None:
    nothing = installation.folder / "nothing.pem"

    message = refused(installation, f"--certfile={nothing}", f"--keyfile={nothing}")

    assert message.startswith(f"--certfile={nothing}")


def test_faults_of_places_and_of_plugins_are_shown_at_once(installation: Installation) -> None:
    place = installation.plugin("broken.yml", BROKEN)
    (installation.base / "upload").symlink_to("elsewhere")

    message = refused(installation, f"--certfile={place}", f"--keyfile={place}")

    lines = message.splitlines()
    assert lines[0] == "3 faults at the start:"
    assert lines[1].startswith(f"{installation.base}/upload: is a symbolic link")
    assert lines[2].startswith(f"--certfile={place} --keyfile={place}: not usable")
    assert lines[3].startswith(f"{place}:5:31: broken.script: syntax error")
