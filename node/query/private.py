"""Private attributes of a query at STUDY level: what became of a study, and what the model said.

They stand in one block of group 4D4D under the private creator `CREATOR` (PS3.5 7.8.1).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydicom.dataset import Dataset

from node.query.levels import element_values
from node.query.ranges import moment_range
from node.study_log.entities import Call
from node.study_log.tables import StudyState

GROUP = 0x4D4D
CREATOR = "MAMMONODE 1.0"

_BLOCKS = range(0x10, 0x100)

FilterFields = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey:
    """A private attribute.

    Attributes
    ----------
    element
        Its last two digits; the first two are those of the block.
    name, vr
        As a data dictionary would have them.
    meaning
        One sentence for the conformance statement.
    source
        Where its value is, from `node.study_log.entities.Found` on; empty: never answered.
    read
        Makes fields of `StudyFilter` of a value that is asked for, or raises ValueError; None: not
        matched.
    accepted
        What `read` takes, as a phrase.
    """

    element: int
    name: str
    vr: str
    meaning: str
    source: str = ""
    read: Callable[[Sequence[str]], FilterFields] | None = None
    accepted: str = ""

    @property
    def needs_contents(self) -> bool:
        """Whether its value is counted from what a study holds."""
        return self.source == "results_ready"


def _states(values: Sequence[str]) -> FilterFields:
    return {"states": tuple(StudyState(value) for value in values)}


def _call(values: Sequence[str]) -> FilterFields:
    return {"is_suspicious": Call(_one(values)) is Call.SUSPICIOUS}


def _score(bound: str) -> Callable[[Sequence[str]], FilterFields]:
    def read(values: Sequence[str]) -> FilterFields:
        score = float(_one(values))
        if not 0 <= score <= 1:
            message = "expected a number from 0 to 1"
            raise ValueError(message)
        return {bound: score}

    return read


def _text(field: str) -> Callable[[Sequence[str]], FilterFields]:
    return lambda values: {field: _one(values)}


def _received(values: Sequence[str]) -> FilterFields:
    first, last = moment_range(_one(values))
    return {"received_from": first, "received_to": last}


def _one(values: Sequence[str]) -> str:
    (value,) = values
    return value


PRIVATE_KEYS = MappingProxyType(
    {
        key.element: key
        for key in (
            PrivateKey(
                element=0x01,
                name="Study State",
                vr="CS",
                meaning=f"{', '.join(StudyState)}: docs/operations.md says what they mean.",
                source="study.state",
                read=_states,
                accepted="one or several states",
            ),
            PrivateKey(
                element=0x02,
                name="Results Ready",
                vr="CS",
                meaning="READY: there are result objects. NOT YET: the study is being received, "
                "waits or is being analysed. NONE: nothing is under way, and there are none.",
                source="results_ready",
            ),
            PrivateKey(
                element=0x03,
                name="AI Malignancy Score",
                vr="DS",
                meaning="Of the study, 0 to 1, by the newest revision; empty: none.",
                source="revision.score",
            ),
            PrivateKey(
                element=0x04,
                name="AI Malignancy Score, Right Breast",
                vr="DS",
                meaning="The same of the right breast.",
                source="revision.score_right",
            ),
            PrivateKey(
                element=0x05,
                name="AI Malignancy Score, Left Breast",
                vr="DS",
                meaning="The same of the left breast.",
                source="revision.score_left",
            ),
            PrivateKey(
                element=0x06,
                name="Call",
                vr="CS",
                meaning=f"{Call.SUSPICIOUS}: the score of the study is at or above the operating "
                f"point. {Call.NOT_SUSPICIOUS}: below. Empty: no score.",
                source="call",
                read=_call,
                accepted="one of the two",
            ),
            PrivateKey(
                element=0x07,
                name="Model Name",
                vr="LO",
                meaning="Of the weights, by their manifest.",
                source="revision.model_name",
            ),
            PrivateKey(
                element=0x08,
                name="Model Version",
                vr="LO",
                meaning="Of the weights, by their manifest.",
                source="revision.model_version",
                read=_text("model_version"),
                accepted="single value, wild card",
            ),
            PrivateKey(
                element=0x09,
                name="Revision",
                vr="IS",
                meaning="Number of the newest revision, from 1; empty before the first.",
                source="revision.number",
            ),
            PrivateKey(
                element=0x0A,
                name="Reason",
                vr="LT",
                meaning="Why the newest revision failed or was skipped; empty otherwise.",
                source="revision.reason",
            ),
            PrivateKey(
                element=0x0B,
                name="Calling AE Title",
                vr="AE",
                meaning="That the first instance came from.",
                source="study.calling_ae_title",
                read=_text("calling_ae_title"),
                accepted="single value, wild card",
            ),
            PrivateKey(
                element=0x0C,
                name="Last Received",
                vr="DT",
                meaning="When the last instance came; in UTC, and so says its offset.",
                source="study.last_received_at",
                read=_received,
                accepted="single value, range: YYYYMMDD[HH[MM[SS[.F]]]] UTC",
            ),
            PrivateKey(
                element=0x0D,
                name="AI Malignancy Score, At Least",
                vr="DS",
                meaning="For matching alone: the lowest score of the study that is meant.",
                read=_score("score_from"),
                accepted="a number from 0 to 1",
            ),
            PrivateKey(
                element=0x0E,
                name="AI Malignancy Score, At Most",
                vr="DS",
                meaning="For matching alone: the highest score of the study that is meant.",
                read=_score("score_to"),
                accepted="a number from 0 to 1",
            ),
        )
    }
)
"""Every private key, by element."""


def block_of(identifier: Dataset) -> int | None:
    """Find the block that an identifier reserves for `CREATOR`; None: it reserves none.

    Returns
    -------
    block
        As in (4D4D,1001), where it is 0x10.
    """
    for block in _BLOCKS:
        tag = GROUP << 16 | block
        if tag in identifier and element_values(identifier, tag) == [CREATOR]:
            return block
    return None
