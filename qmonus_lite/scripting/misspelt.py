"""Error messages for undefined names in scripts."""

import difflib
from collections.abc import Collection

#: Names that Qmonus SDK grants to scripts, for services that qmonus_lite does not have.
#: Source: the stub library of qmonus/plugin-builder on GitHub.
QMONUS_ONLY = frozenset(
    """
    sqlalchemy QmonusAccount faker status_poll futureization Awaitable bg rendering Template
    where_statement rowtodict and_ or_ not_ join select scp sendmail task waitfor
    transaction_active_check get_transactions waitfor_transaction allocate_counter Counter
    ElementTree dict2xml magic pubsub qprint deserialize flattening slack gRPC Parse MessageToJson
    neo4j nodetodict clock Scenario Daemon Format Geo SQL Redis Model Plugins Faker
    FakeHttpResponse Illusion TDD Test Booking lambda_convergence LambdaBooking Websocket ipam CLI
    Device ComplexDevice CLIProxy NetconfProxy Netconf SNMPv2 SNMPv3 Collection Runtime FIFO mFIFO
    context atom model xid xname
    """.split()
)


def misspelt(name: str, known: Collection[str]) -> str:
    """One sentence about an unknown name, with the nearest known name."""
    if name in QMONUS_ONLY:
        return f"{name!r} is a name of Qmonus SDK that qmonus_lite does not provide"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; define or import it"
    return f"name {name!r} is not defined{hint}"
