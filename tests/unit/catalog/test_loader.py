"""The loader: one catalog, or every fault of every file at once."""

import linecache
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmonus_lite.catalog.document import dump
from qmonus_lite.catalog.files import MAX_FILE_BYTES
from qmonus_lite.catalog.loader import Loader
from qmonus_lite.errors import BadPlugins
from tests.unit.catalog.plugin_folder import BUILD_CONTEXT, ROUTE, Folder, handler


def test_an_empty_folder_is_a_sound_set(folder: Folder) -> None:
    catalog = folder.load()

    assert (catalog.events, catalog.routes, catalog.listed) == ((), (), ())


def test_takes_every_yaml_file_below_the_folder(folder: Folder) -> None:
    folder.put("a.yml", handler("a"))
    folder.put("deep/er/b.yaml", handler("b"))
    folder.put("notes.txt", "{")
    folder.put("README.md", "{")
    folder.put(".hidden.yml", "{")
    folder.put(".git/c.yml", "{")
    (folder.path / "folder.yml").mkdir()

    assert [plugin.name for plugin in folder.load().listed] == ["a", "b"]


def test_follows_no_links(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "real.yml").write_text(handler("a"))
    (folder.path / "link.yml").symlink_to(tmp_path / "real.yml")
    (folder.path / "gone.yml").symlink_to(tmp_path / "nowhere.yml")

    reason = "is a symbolic link; put the file itself here"
    assert folder.faults() == [f"gone.yml:1:1: {reason}", f"link.yml:1:1: {reason}"]


def test_handlers_of_an_event_stand_in_the_order_of_their_names(folder: Folder) -> None:
    for name in ("b", "a", "C"):
        folder.put(f"{name}.yml", handler(name, event="E"))
    folder.put("other.yml", handler("other", event="D"))
    catalog = folder.load()

    assert [plugin.name for plugin in catalog.lambdas["E"]] == ["C", "a", "b"]
    assert catalog.events == ("D", "E")


def test_one_catalog_holds_every_kind(folder: Folder) -> None:
    folder.put("l.yml", handler("l"))
    folder.put("c.yml", "name: conf\nvalues: {a: 1}\n")
    folder.put("r.yml", ROUTE)
    folder.put("roles.yml", "- name: reader\n  authorities: [{regex: /, methods: [get]}]\n")
    folder.put("accounts.yml", "- username: u\n  role: reader\n- username: v\n  roles: [admin]\n")
    catalog = folder.load()

    assert catalog.configs["conf"].values == {"a": 1}
    assert [route.template.text for route in catalog.routes] == ["/v1/x"]
    assert catalog.roles["reader"].allows("GET", "/x")
    assert catalog.accounts["u"].roles == ("reader",)
    assert {(plugin.kind, plugin.name) for plugin in catalog.listed} == {
        ("Lambda", "l"),
        ("Config", "conf"),
        ("Routing", "/v1/x"),
        ("Role", "reader"),
        ("Account", "u"),
        ("Account", "v"),
    }


def test_lists_kinds_of_qmonus_that_it_does_not_run(folder: Folder) -> None:
    folder.put("s.yml", "name: scene\nuri: /x\ncommands: [{command: script}]\n")
    folder.put("m.yml", "category: A\nname: mod\ncode: |-\n  this is ( not python\n")
    folder.put("t.yml", "target: scene\nassertion: {}\n")
    folder.put("same.yml", "name: scene\nuri: /x\ncommands: []\n")

    assert [(plugin.kind, plugin.name) for plugin in folder.load().listed] == [
        ("Module (not supported)", "mod"),
        ("Scenario (not supported)", "scene"),
        ("Scenario (not supported)", "scene"),
        ("Testcase (not supported)", "t"),
    ]


def test_reports_every_fault_of_every_file_at_once(folder: Folder) -> None:
    folder.put(
        "a.yml",
        handler("a", line="josn.x\n      asyncoi.y"),
    )
    folder.put("b.yml", "- proxy: {path: v1}\n  authorities: []\n- proxy: {}\n")
    folder.put("c.yml", "nonsense: true\n")
    folder.put("d.yml", "a: [\n")
    folder.put("e.yml", b"a: 1\nb: \xff\n")
    folder.put("f.yml", "")
    folder.put("g.yml", handler("sound"))

    found = [fault.split(" ")[0] for fault in folder.faults()]
    assert found == [
        "a.yml:5:7:",
        "a.yml:6:7:",
        "b.yml:1:11:",
        "b.yml:3:3:",
        "b.yml:3:3:",
        "c.yml:1:1:",
        "d.yml:2:1:",
        "e.yml:2:1:",
        "f.yml:1:1:",
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "a.yml:1:1: the file is empty"),
        ("x: 1\n", "a.yml:1:1: no kind of plugin has this shape; known are Lambda: a mapping"),
        ("- 1\n", "a.yml:1:1: no kind of plugin has this shape"),
        (b"\xff\n", "a.yml:1:1: is not UTF-8 text"),
        (b"\n\n#\xc0\xae\n", "a.yml:3:1: is not UTF-8 text"),
        ("# " + "x" * MAX_FILE_BYTES, "a.yml:1:1: is larger than 256 KiB; split it"),
    ],
)
def test_says_what_a_file_is_not(folder: Folder, content: str | bytes, fault: str) -> None:
    folder.put("a.yml", content)

    [found] = folder.faults()
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("text", "again"),
    [
        (handler("same"), "b.yml:1:1: Lambda 'same' exists already, at {path}/a.yml:1"),
        ("name: same\nvalues: {}\n", "b.yml:1:1: Config 'same' exists already, at {path}/a.yml:1"),
        (ROUTE, "b.yml:3:5: Routing '/v1/x' exists already, at {path}/a.yml:1"),
        ("- username: u\n", "b.yml:1:3: Account 'u' exists already, at {path}/a.yml:1"),
        ("- name: r\n  authorities: []\n", "b.yml:1:3: Role 'r' exists already, at {path}/a.yml:1"),
    ],
)
def test_refuses_a_second_plugin_of_one_name(folder: Folder, text: str, again: str) -> None:
    folder.put("a.yml", text)
    folder.put("b.yml", text)

    assert folder.faults() == [again.format(path=folder.path)]


def test_routes_that_differ_in_the_names_of_variables_are_one(folder: Folder) -> None:
    folder.put("a.yml", ROUTE.replace("/v1/x", "/v1/{a}") + ROUTE)
    folder.put("b.yml", ROUTE.replace("/v1/x", "/v1/{b}"))

    again = f"Routing '/v1/{{b}}' exists already as '/v1/{{a}}', at {folder.path}/a.yml:1"
    assert folder.faults() == [f"b.yml:3:5: {again}"]


def test_one_name_may_stand_in_several_kinds(folder: Folder) -> None:
    folder.put("a.yml", handler("same"))
    folder.put("b.yml", "name: same\nvalues: {}\n")

    assert folder.faults() == []


def test_a_second_of_one_name_in_one_file_has_its_own_line(folder: Folder) -> None:
    folder.put("a.yml", "- username: u\n- username: v\n- role: admin\n  username: u\n")

    assert folder.faults() == [f"a.yml:4:3: Account 'u' exists already, at {folder.path}/a.yml:1"]


def test_an_undefined_role_is_a_fault(folder: Folder) -> None:
    folder.put("a.yml", "- username: u\n  roles: [admin, missing]\n")

    assert folder.faults() == ["a.yml:2:3: account 'u' has role 'missing', which no plugin defines"]


def test_a_folder_that_lies_in_another_is_read_once(folder: Folder) -> None:
    folder.put("sub/a.yml", handler("a"))
    loader = Loader([folder.path, folder.path / "sub"], BUILD_CONTEXT)

    assert [plugin.name for plugin in loader.load().listed] == ["a"]


def test_a_folder_that_is_gone_is_a_fault_and_no_empty_set(folder: Folder) -> None:
    folder.put("a.yml", handler("a"))
    folder.load()
    folder.path.rename(folder.path.with_name("elsewhere"))

    assert folder.faults() == [f"{folder.path}:1:1: the plugin folder is gone"]


def test_the_fingerprint_changes_with_the_content_of_the_files(folder: Folder) -> None:
    place = folder.put("a.yml", handler("a"))
    first = folder.load().fingerprint
    os.utime(place, (1, 1))
    assert folder.load().fingerprint == first

    folder.put("a.yml", handler("a") + "# changed\n")
    assert folder.load().fingerprint != first
    folder.put("a.yml", handler("a"))
    assert folder.load().fingerprint == first


def test_the_stamp_changes_when_a_file_is_touched(folder: Folder) -> None:
    empty = folder.loader.stamp()
    stamps = {empty}
    place = folder.put("a.yml", handler("a"))
    stamps.add(folder.loader.stamp())
    os.utime(place, (1, 1))
    stamps.add(folder.loader.stamp())
    folder.put("a.yml", handler("ab"))
    stamps.add(folder.loader.stamp())
    place.rename(folder.path / "b.yml")
    stamps.add(folder.loader.stamp())

    assert len(stamps) == 5
    (folder.path / "b.yml").unlink()
    assert folder.loader.stamp() == empty


def test_a_faulty_load_leaves_the_lines_of_the_running_set_alone(folder: Folder) -> None:
    place = folder.put("a.yml", handler("a", line="return 1"))
    folder.load()
    folder.put("a.yml", "# moved\n" + handler("a", line="return josn"))
    assert len(folder.faults()) == 1

    assert linecache.getline(str(place), 5) == "      return 1\n"
    place.unlink()
    assert linecache.getline(str(place), 1) == "name: a\n"


def test_reads_again_only_what_changed(folder: Folder) -> None:
    for n in range(30):
        folder.put(f"{n}.yml", handler(f"h{n}", line="x = " + "[1, 2, 3] + " * 20 + "[]"))
    started = time.perf_counter()
    folder.load()
    first = time.perf_counter() - started
    folder.put("0.yml", handler("changed"))
    started = time.perf_counter()
    catalog = folder.load()

    assert time.perf_counter() - started < first
    assert "changed" in {plugin.name for plugin in catalog.listed}


KEYS = st.sampled_from(
    "name event script values proxy path authorities username roles role regex methods target"
    " spec method schema request response body api_key_hash expire_days created_at timeout".split()
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.text("a/{}()\\-: ", max_size=8) | st.floats()
)
VALUES = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40)
@given(
    st.dictionaries(KEYS, VALUES, max_size=6) | st.lists(st.dictionaries(KEYS, VALUES), max_size=3)
)
def test_loads_any_file_or_says_what_is_wrong(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, object] | list[object]
) -> None:
    folder = Folder(tmp_path_factory.mktemp("any"))
    folder.put("a.yml", dump(value))
    try:
        folder.load()
    except BadPlugins as error:
        assert all(fault.line >= 1 and fault.column >= 1 for fault in error.faults)


def test_the_same_files_in_another_place_are_the_same_plugins(tmp_path: Path) -> None:
    """Workers on two machines need not have their folders at one path."""
    prints = []
    for name, file in (("one", "a.yml"), ("two", "a.yml"), ("three", "b.yml")):
        folder = Folder(tmp_path / name)
        folder.put(file, handler())
        prints.append(folder.load().fingerprint)

    assert prints[0] == prints[1] != prints[2]
