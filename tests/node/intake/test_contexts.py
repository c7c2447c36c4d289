"""Who is offered what."""

from pydicom.uid import UID
from pynetdicom import evt

from node.intake.contexts import (
    QUERY_SOP_CLASSES,
    STORAGE_SOP_CLASSES,
    STUDY_ROOT_FIND,
    SupportedContexts,
)

MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
EVERY_QUERY = tuple(QUERY_SOP_CLASSES)


def offered(
    contexts: SupportedContexts, caller: str, scp_roles: tuple[str, ...] = ()
) -> dict[str, tuple[bool | None, bool | None]]:
    return {
        str(context.abstract_syntax): (context.scu_role, context.scp_role)
        for context in contexts.offered_to(caller, scp_roles)
    }


def contexts(queriers: tuple[str, ...] | None, **options: tuple[str, ...]) -> SupportedContexts:
    return SupportedContexts(
        **{"senders": ("SENDER",), "reporters": (), **options},
        queriers=queriers,
        served=EVERY_QUERY,
    )


def test_who_may_send_may_not_query_for_that_reason_alone() -> None:
    sop_classes = offered(contexts(("READER",)), "SENDER")

    assert MAMMOGRAPHY in sop_classes
    assert not {str(uid) for uids in QUERY_SOP_CLASSES.values() for uid in uids} & set(sop_classes)


def test_who_may_query_may_associate_and_not_send() -> None:
    of_node = contexts(("READER",))

    sop_classes = offered(of_node, "READER")

    assert of_node.callers == ["READER", "SENDER"]
    assert STUDY_ROOT_FIND in sop_classes
    assert MAMMOGRAPHY not in sop_classes


def test_who_may_query_is_offered_what_it_proposes_to_be_the_scp_of() -> None:
    sop_classes = offered(contexts(("READER",)), "READER", (MAMMOGRAPHY, "1.2.3"))

    assert sop_classes[MAMMOGRAPHY] == (False, True)
    assert "1.2.3" not in sop_classes


def test_who_may_send_and_query_may_have_either_role() -> None:
    sop_classes = offered(contexts(("BOTH",), senders=("BOTH",)), "BOTH")

    assert {sop_classes[str(uid)] for uid in STORAGE_SOP_CLASSES} == {(True, True)}


def test_who_may_send_alone_may_have_the_role_of_the_scu_alone() -> None:
    sop_classes = offered(contexts(("READER",)), "SENDER", (MAMMOGRAPHY,))

    assert sop_classes[MAMMOGRAPHY] == (None, None)


def test_where_any_may_query_every_caller_is_offered_it() -> None:
    assert STUDY_ROOT_FIND in offered(contexts(None, senders=()), "ANYBODY")


def test_what_has_no_handler_is_offered_to_nobody() -> None:
    finds_alone = SupportedContexts(
        senders=(), reporters=(), queriers=None, served=[evt.EVT_C_FIND]
    )

    sop_classes = offered(finds_alone, "ANYBODY")

    assert STUDY_ROOT_FIND in sop_classes
    assert str(QUERY_SOP_CLASSES[evt.EVT_C_GET][0]) not in sop_classes
    assert sop_classes[UID(MAMMOGRAPHY)] == (None, None)
