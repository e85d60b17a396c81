"""All rules that an upload has to pass, in order; the reference and the endpoint are made of them.

Each list is applied where its subject is known; this module only joins them.
"""

from qmonus_lite.apigw import dispatch
from qmonus_lite.apigw.protocols import put
from qmonus_lite.errors import Problem, RuleDescription
from qmonus_lite.http import accept, body_timeout, chunked, framing, pipeline
from qmonus_lite.uploads import body_rules, rules, store_rules

#: Rules for every request, up to its endpoint.
REQUEST_RULES: tuple[RuleDescription, ...] = (
    *accept.RULES,
    *framing.RULES,
    *pipeline.RULES,
    *dispatch.LENGTH_RULES,
    *dispatch.METHOD_RULES,
)

#: Further rules for an upload.
UPLOAD_RULES: tuple[RuleDescription, ...] = (
    *put.RULES,
    *rules.HEAD_RULES,
    *rules.VERDICT_RULES,
    *rules.AFTER_VERDICT_RULES,
    *store_rules.CREATE_RULES,
    *body_timeout.RULES,
    *chunked.RULES,
    *body_rules.BODY_RULES,
    *store_rules.APPEND_RULES,
    *body_rules.SEAL_RULES,
    *store_rules.CONTENT_RULES,
    *body_rules.COMMIT_RULES,
    *store_rules.PUBLISH_RULES,
)

#: All rules of an upload, in order.
ALL_RULES = (*REQUEST_RULES, *UPLOAD_RULES)

#: The problems of UPLOAD_RULES, each once.
UPLOAD_PROBLEMS: tuple[type[Problem], ...] = tuple(
    dict.fromkeys(problem for rule in UPLOAD_RULES for problem in rule.problems)
)
