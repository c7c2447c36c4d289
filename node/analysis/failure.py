"""What is reported of a study whose analysis failed: made from headers, without pixels or network.

The analysis may have failed because of the network or of a pixel, or have taken its worker down
with it: nothing of that is touched again here.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from model.manifest import Manifest
from node.analysis.headers import (
    SourceHeader,
    breasts_shown,
    hanging_order,
    left_out,
    read_source,
)
from node.analysis.sources import SourceInstance
from node.errors import PermanentError, TransientError, TriageReason, UnsuitableInstance
from node.results import BreastResult, Predecessor, StudyResult
from node.settings import ResultsSettings

logger = logging.getLogger(__name__)


def failed_study(
    *,
    study_instance_uid: str,
    revision: int,
    closed_at: datetime,
    sources: Sequence[SourceInstance],
    predecessors: Sequence[Predecessor],
    manifest: Manifest,
    prevalence: float | None,
    form: ResultsSettings,
    reason: str,
) -> StudyResult | None:
    """Put together what the reports say of an analysis that failed.

    Parameters
    ----------
    study_instance_uid, revision, closed_at, predecessors, manifest, prevalence, form
        Passed on.
    sources
        Every instance of the revision, in any order.
    reason
        Why the analysis failed, as the study log has it.

    Returns
    -------
    result
        Without a score: an instance that was triaged keeps its reason, the others have
        ``TriageReason.ANALYSIS_FAILED``. Instances whose header cannot be read are missing, and a
        log line says so; None if that is all of them.
    """
    headers = []
    for source in sources:
        try:
            headers.append(read_source(source))
        except (PermanentError, TransientError) as error:
            logger.warning(
                "The report of a failed analysis goes without an image that cannot be read",
                extra={
                    "event": "failure_report_without_image",
                    "study_instance_uid": study_instance_uid,
                    "revision": revision,
                    "reason": error.reason,
                },
            )
    if not headers:
        return None
    instances = tuple(
        left_out(header, _why(header)) for header in sorted(headers, key=hanging_order)
    )
    return StudyResult(
        study_instance_uid=study_instance_uid,
        revision=revision,
        closed_at=closed_at,
        instances=instances,
        breasts=tuple(
            BreastResult(laterality=laterality, score=None)
            for laterality in breasts_shown(instances)
        ),
        score=None,
        manifest=manifest,
        prevalence=prevalence,
        form=form,
        predecessors=tuple(predecessors),
        failure=reason,
    )


def _why(header: SourceHeader) -> UnsuitableInstance:
    source = header.source
    return UnsuitableInstance(
        reason=source.triage_reason or TriageReason.ANALYSIS_FAILED, detail=source.triage_detail
    )
