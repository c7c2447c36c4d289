"""What the study log says of a demo study, held against what its PACS has filed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from model.views import STANDARD_VIEWS, Laterality
from node.demo.pacs import Filed
from node.result_kinds import ResultKind
from node.study_log.database import Database
from node.study_log.tables import DeliveryState, Study, StudyState

ENDED = frozenset(
    {StudyState.COMPLETED, StudyState.FAILED, StudyState.SKIPPED, StudyState.CANCELED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Where one study stands.

    Attributes
    ----------
    state
        Of the study, or None if the log does not know it yet.
    reason
        Why it failed, was skipped or was not delivered; empty otherwise.
    score
        AI malignancy score of the study in [0, 1], or None.
    is_suspicious
        Whether the study's score reached the operating point, or None.
    view_scores
        Score of each view that was analysed.
    model
        Name and version of the weights.
    kinds
        Kind of every result object that was made, by SOP Instance UID.
    is_delivered
        Whether the PACS has acknowledged them all, as the log has it.
    has_ended
        Whether nothing more will come.
    """

    state: StudyState | None = None
    reason: str = ""
    score: float | None = None
    is_suspicious: bool | None = None
    view_scores: Mapping[tuple[Laterality, str], float]
    model: str = ""
    kinds: Mapping[str, ResultKind]
    is_delivered: bool = False
    has_ended: bool = False

    def is_complete(self, filed: Sequence[Filed]) -> bool:
        """Whether `filed` is one score report, a heat map a view, and all else that was made."""
        kinds = Counter(self.kinds.values())
        return (
            self.state is StudyState.COMPLETED
            and self.is_delivered
            and set(self.view_scores) == set(STANDARD_VIEWS)
            and {item.sop_instance_uid for item in filed} == set(self.kinds)
            and kinds[ResultKind.SCORE_REPORT] == 1
            and kinds[ResultKind.HEAT_MAP] == len(STANDARD_VIEWS)
        )


def read_outcome(database: Database, study_instance_uid: str) -> Outcome:
    """Look a study up in the log."""
    with database.reading() as session:
        study = session.scalar(select(Study).filter_by(study_instance_uid=study_instance_uid))
        if study is None:
            return Outcome(view_scores={}, kinds={})
        state = StudyState(study.state)
        if not study.revisions:
            return Outcome(state=state, view_scores={}, kinds={})
        revision = study.revisions[-1]
        states = {DeliveryState(delivery.state) for delivery in revision.deliveries}
        reasons = (revision.reason, *(delivery.reason for delivery in revision.deliveries))
        is_delivered = states == {DeliveryState.COMPLETED}
        return Outcome(
            state=state,
            reason="; ".join(reason for reason in reasons if reason),
            score=revision.score,
            is_suspicious=revision.is_suspicious,
            view_scores={
                (Laterality(one.instance.laterality), one.instance.view_position): one.score
                for one in revision.outcomes
                if one.score is not None and one.instance.laterality and one.instance.view_position
            },
            model=f"{revision.model_name} {revision.model_version}",
            kinds={r.sop_instance_uid: ResultKind(r.kind) for r in revision.results},
            is_delivered=is_delivered,
            has_ended=state in ENDED and (is_delivered or DeliveryState.FAILED in states),
        )
