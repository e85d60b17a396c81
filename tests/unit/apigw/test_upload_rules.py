"""The rules of an upload: one list, in the order of stages, with every problem that it can get."""

from qmonus_lite import errors
from qmonus_lite.apigw.endpoints import UPLOAD
from qmonus_lite.apigw.openapi import problems_of
from qmonus_lite.apigw.upload_rules import ALL_RULES, REQUEST_RULES
from qmonus_lite.errors import Stage
from qmonus_lite.stores.file import disk_errors
from qmonus_lite.uploads import store_rules

#: What no upload gets: problems of routes, of scripts and of the endpoints under `/-/`.
NOT_OF_UPLOADS = {
    errors.Problem,
    errors.GatewayTimeout,
    errors.MemoryLimitReached,
    errors.NotFound,
    errors.NotReady,
    errors.RecordsUnavailable,
    errors.RefusedByScript,
    errors.SchemaMismatch,
    errors.UnsupportedMedia,
}
LISTED = {problem for rule in ALL_RULES for problem in rule.problems}


def test_no_two_rules_have_one_name() -> None:
    names = [rule.name for rule in ALL_RULES]

    assert len(names) == len(set(names))


def test_rules_stand_in_the_order_of_their_stages() -> None:
    order = list(Stage)
    stages = [order.index(rule.stage) for rule in ALL_RULES]

    assert stages == sorted(stages)


def test_every_problem_is_of_a_rule_or_of_no_upload() -> None:
    assert not LISTED & NOT_OF_UPLOADS
    assert set(errors.PROBLEMS) - LISTED == NOT_OF_UPLOADS


def test_the_endpoint_lists_the_problems_of_its_rules() -> None:
    (put,) = UPLOAD.operations
    of_requests = {problem for rule in REQUEST_RULES for problem in rule.problems}

    assert set(problems_of(UPLOAD, put)) | of_requests == LISTED


def test_what_the_file_system_refuses_is_listed() -> None:
    (rule,) = store_rules.APPEND_RULES
    answers = {row.problem for row in (*disk_errors.RULES, disk_errors.UNKNOWN)}

    assert answers == set(rule.problems)
