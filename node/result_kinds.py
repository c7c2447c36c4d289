"""The kinds of object that results are written as, and the named sets of them."""

from collections.abc import Mapping
from enum import StrEnum


class ResultKind(StrEnum):
    """The closed list of kinds that a destination can ask for; the values stand in the settings."""

    SCORE_REPORT = "score_report"
    MEASUREMENT_REPORT = "measurement_report"
    HEAT_MAP = "heat_map"


PROFILES: Mapping[str, tuple[ResultKind, ...]] = {
    "ohif": (ResultKind.SCORE_REPORT, ResultKind.MEASUREMENT_REPORT, ResultKind.HEAT_MAP),
    "everything": tuple(ResultKind),
}
"""Named sets of kinds, one for each sort of reader."""
