"""W3C Trace Context: what is taken, and how spans follow one another."""

import pytest

from qmonus_lite.trace_context import child_of, log_fields, of_log_fields, trace_id_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_child_has_the_trace_and_a_span_of_its_own() -> None:
    child, other = child_of(PARENT), child_of(PARENT)

    assert trace_id_of(child) == TRACE and child.startswith("00-") and child.endswith("-01")
    assert len({PARENT[36:52], child[36:52], other[36:52]}) == 3
    assert trace_id_of(child_of(child)) == TRACE


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (PARENT.removesuffix("01") + "00", "00"),
        (PARENT.removesuffix("01") + "ff", "03"),
        (f"cc-{TRACE}-{SPAN}-03-more", "03"),
    ],
)
def test_known_flags_are_passed_on_as_version_00(given: str, flags: str) -> None:
    child = child_of(given)

    assert (child[:2], child[-2:], len(child)) == ("00", flags, 55)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        PARENT.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{32 * '0'}-{SPAN}-01",
        f"00-{TRACE}-{16 * '0'}-01",
        f"{PARENT}-more",
        f"{PARENT}\n",
    ],
)
def test_what_is_no_traceparent_belongs_to_no_trace(given: str) -> None:
    assert child_of(given) == "" == trace_id_of("")
    assert log_fields("") == {}


def test_log_fields_are_read_back() -> None:
    fields = log_fields(PARENT)

    assert fields == {"trace_id": TRACE, "span_id": SPAN, "trace_flags": "01"}
    assert of_log_fields({**fields, "request_id": "r"}) == PARENT
    assert of_log_fields({"trace_id": TRACE}) == ""
