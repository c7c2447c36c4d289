"""Who may ask, over real associations."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, build_role
from pynetdicom.association import Association

from log_entries import study_entry
from node.intake.contexts import STUDY_ROOT_FIND
from node.intake.receive import Receiver
from node.query.serve import query_handlers
from node.settings import QuerySettings, ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database
from peers import association_to, send, wait_until
from phantoms import mammogram
from querying import asked_node, find, keys, querying

NOT_AUTHORIZED = 0x0124
MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"


@pytest.fixture
def database(sqlite_logs: Any, tmp_path: Path) -> Iterator[Database]:
    """A log with one study, on SQLite alone: nothing here depends on the database."""
    database = Database(sqlite_logs.fresh(tmp_path))
    with database.writing() as session:
        session.add(study_entry())
    yield database
    database.close()


def accepted(assoc: Association) -> set[str]:
    return {str(context.abstract_syntax) for context in assoc.accepted_contexts}


def test_on_loopback_anybody_may_ask(database: Database, tmp_path: Path) -> None:
    with (
        asked_node(database, tmp_path / "data") as node,
        querying(node.port, calling_ae_title="ANYBODY") as assoc,
    ):
        assert len(find(assoc, keys()).pending) == 1


def test_beyond_loopback_nobody_may_ask_who_is_not_named() -> None:
    # Only said, never listened at: what counts is that it is beyond loopback.
    receive = ReceiveSettings(host="0.0.0.0", allowed_ae_titles=("SENDER",))  # noqa: S104

    assert Settings(receive=receive).queriers == ()
    assert Settings().queriers is None


def test_who_is_not_named_is_told_that_there_is_no_such_service(
    database: Database, tmp_path: Path
) -> None:
    with (
        asked_node(
            database, tmp_path / "data", query=QuerySettings(allowed_ae_titles=("READER",))
        ) as node,
        querying(node.port, calling_ae_title="SENDER") as assoc,
    ):
        assert accepted(assoc) == set()


def test_who_is_named_to_ask_may_associate_where_only_named_senders_may(
    database: Database, tmp_path: Path
) -> None:
    with (
        asked_node(
            database,
            tmp_path / "data",
            query=QuerySettings(allowed_ae_titles=("READER",)),
            allowed_ae_titles=("SENDER",),
        ) as node,
        querying(node.port, calling_ae_title="READER") as reader,
        association_to(node.port, [mammogram()], calling_ae_title="READER") as sends,
    ):
        found = find(reader, keys())
        offered = accepted(sends)

    assert len(found.pending) == 1
    assert MAMMOGRAPHY not in offered


def test_who_asks_leaves_places_to_who_sends(database: Database, tmp_path: Path) -> None:
    with (
        asked_node(database, tmp_path / "data", query=QuerySettings(max_associations=1)) as node,
        querying(node.port) as first,
    ):
        with querying(node.port) as second:
            is_second_in = second.is_established
        statuses = send(node.port, [mammogram(rows=64, columns=48)])
        assert first.is_established

    assert not is_second_in
    assert statuses == [0x0000]


def test_who_may_not_ask_is_let_in_to_send_whatever_else_it_proposes(
    database: Database, tmp_path: Path
) -> None:
    query = QuerySettings(max_associations=1, allowed_ae_titles=("READER",))
    with (
        asked_node(database, tmp_path / "data", query=query) as node,
        querying(node.port) as reader,
    ):
        ae = AE(ae_title="SENDER")
        ae.add_requested_context(MAMMOGRAPHY)
        ae.add_requested_context(STUDY_ROOT_FIND)
        sender = ae.associate("127.0.0.1", node.port, ae_title="MAMMONODE")
        offered = accepted(sender)
        sender.release()
        assert reader.is_established

    assert offered == {MAMMOGRAPHY}


def test_a_place_to_ask_is_free_again_when_its_association_has_ended(
    database: Database, tmp_path: Path
) -> None:
    def is_let_in(port: int) -> bool:
        with querying(port) as assoc:
            return assoc.is_established

    with asked_node(database, tmp_path / "data", query=QuerySettings(max_associations=1)) as node:
        assert is_let_in(node.port)

        wait_until(lambda: is_let_in(node.port), "the place to be free again")


@pytest.fixture
def getting_node(database: Database, tmp_path: Path) -> Iterator[Receiver]:
    """A node that some may ask, and others send to."""
    settings = Settings(
        data_dir=tmp_path / "data",
        receive=ReceiveSettings(port=0, low_watermark_bytes=0, allowed_ae_titles=("SENDER",)),
        query=QuerySettings(allowed_ae_titles=("READER", "SENDER")),
    )
    store = Store(settings.data_dir)
    receiver = Receiver(settings, database, store, query=query_handlers(settings, database, store))
    receiver.start()
    yield receiver
    receiver.stop(deadline_s=5)


def propose(port: int, *, calling_ae_title: str, scu: bool, scp: bool) -> Association:
    ae = AE(ae_title=calling_ae_title)
    ae.add_requested_context(MAMMOGRAPHY)
    ae.add_requested_context(STUDY_ROOT_FIND)
    role = build_role(MAMMOGRAPHY, scu_role=scu, scp_role=scp)
    return ae.associate("127.0.0.1", port, ae_title="MAMMONODE", ext_neg=[role])


@pytest.mark.parametrize(
    "calling_ae_title, scu, scp, is_scu, is_scp",
    [
        ("READER", False, True, False, True),
        ("READER", True, True, False, True),
        ("SENDER", True, True, True, True),
        ("SENDER", False, True, False, True),
        ("SENDER", True, False, True, False),
    ],
)
def test_who_may_ask_may_be_the_scp_of_what_it_is_brought(
    getting_node: Receiver, calling_ae_title: str, scu: bool, scp: bool, is_scu: bool, is_scp: bool
) -> None:
    assoc = propose(getting_node.port, calling_ae_title=calling_ae_title, scu=scu, scp=scp)
    (context,) = (
        context for context in assoc.accepted_contexts if context.abstract_syntax == MAMMOGRAPHY
    )
    assoc.release()

    assert (context.as_scu, context.as_scp) == (is_scu, is_scp)


def test_who_may_only_ask_cannot_store_in_a_context_to_retrieve_by(
    getting_node: Receiver, database: Database
) -> None:
    assoc = propose(getting_node.port, calling_ae_title="READER", scu=True, scp=True)
    for context in assoc.accepted_contexts:
        context._as_scu = True  # for a peer that keeps to nothing

    status = assoc.send_c_store(mammogram(rows=64, columns=48))
    assoc.release()

    assert status.Status == NOT_AUTHORIZED
    assert list(Path(getting_node._store.incoming).iterdir()) == []
