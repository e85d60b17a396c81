"""Arguments: flags and words."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.cli.arguments import parse
from qmonus_lite.errors import BadResource, BadSetting
from qmonus_lite.settings.table import FLAGS


@pytest.mark.parametrize(
    ("typed", "flags", "positionals"),
    [
        ([], {}, ()),
        (["--port=1"], {"port": "1"}, ()),
        (["--port", "1"], {"port": "1"}, ()),
        (["--lambda-port=1"], {"lambda_port": "1"}, ()),
        (["--lambda-port", "1"], {"lambda_port": "1"}, ()),
        (["--port=a=b"], {"port": "a=b"}, ()),
        (["--port="], {"port": ""}, ()),
        (["--port", "-1"], {"port": "-1"}, ()),
        (["a", "--port=1", "b"], {"port": "1"}, ("a", "b")),
        (["--help"], {"help": ""}, ()),
        (["-", "x"], {}, ("-", "x")),
    ],
)
def test_reads_flags_and_positionals(
    typed: list[str], flags: dict[str, str], positionals: tuple[str, ...]
) -> None:
    found = parse(typed)

    assert (found.flags, found.positionals, found.typed) == (flags, positionals, tuple(typed))


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        (["--port"], "--port: needs a value, as in --port=VALUE"),
        (["--port", "--address=x"], "--port: needs a value"),
        (["--port=1", "--port=2"], "--port: given twice"),
        (["--lambda-port=1", "--lambda_port=2"], "--lambda_port: given twice"),
        (["--prot"], "--prot: no such setting; did you mean --port?"),
        (["--"], "--: no such setting"),
    ],
)
def test_refuses_flags_that_say_nothing(typed: list[str], reason: str) -> None:
    with pytest.raises(BadSetting) as caught:
        parse(typed)

    assert str(caught.value).startswith(reason)


@given(st.dictionaries(st.sampled_from(list(FLAGS)), st.text(max_size=8)), st.booleans())
def test_finds_again_what_was_typed(values: dict[str, str], dashes: bool) -> None:
    typed = [
        f"--{name.replace('_', '-') if dashes else name}={value}" for name, value in values.items()
    ]

    assert parse(typed).flags == values


@given(st.lists(st.text(max_size=6) | st.sampled_from(["--", "--port", "=", "--help"]), max_size=5))
def test_reads_any_line_or_refuses_it(typed: list[str]) -> None:
    try:
        parse(typed)
    except BadSetting as error:
        assert str(error).startswith("--")


def test_reads_the_settings_file_that_the_flag_names(tmp_path: Path) -> None:
    (tmp_path / "flag.yml").write_text("port: 1\n")
    (tmp_path / "environ.yml").write_text("port: 2\naddress: localhost\n")
    environ = {"QMONUS_LITE_CONFIG": str(tmp_path / "environ.yml")}

    assert parse([]).settings(environ).server.port == 2
    assert parse([f"--config={tmp_path}/flag.yml"]).settings(environ).server.port == 1


def test_names_the_settings_file_in_what_it_refuses(tmp_path: Path) -> None:
    (tmp_path / "site.yml").write_text("prot: 1\n")

    with pytest.raises(BadSetting, match=r"site\.yml: prot: no such setting"):
        parse([f"--config={tmp_path}/site.yml"]).settings({})
    with pytest.raises(BadResource, match=r"missing\.yml: cannot be read"):
        parse(["--config=missing.yml"]).settings({})


def test_leaves_out_the_flags_of_the_command_itself() -> None:
    found = parse(["--roles=a", "--port=1"])

    assert found.settings({}, own=("roles",)).server.port == 1
    with pytest.raises(BadSetting, match="--roles: no such setting"):
        found.settings({})
