"""The kinds of object that results are written as, in which form, and the named sets of them."""

from collections.abc import Mapping
from enum import StrEnum


class ResultKind(StrEnum):
    """The closed list of kinds that a destination can ask for; the values stand in the settings."""

    SCORE_REPORT = "score_report"
    MEASUREMENT_REPORT = "measurement_report"
    CAD_REPORT = "cad_report"
    HEAT_MAP = "heat_map"
    SUMMARY_PAGE = "summary_page"
    PRESENTATION_STATE = "presentation_state"
    PARAMETRIC_MAP = "parametric_map"
    KEY_OBJECT = "key_object"


EXPERIMENTAL = (ResultKind.PARAMETRIC_MAP, ResultKind.KEY_OBJECT)
"""In no profile, and written only where they are named."""


class SRClass(StrEnum):
    """SOP class of the score report and the measurement report.

    COMPREHENSIVE: Comprehensive SR, which every archive takes. COMPREHENSIVE_3D: Comprehensive 3D
    SR, which IHE AI Results asks for.
    """

    COMPREHENSIVE = "comprehensive"
    COMPREHENSIVE_3D = "comprehensive_3d"


class HeatMapLayout(StrEnum):
    """What a heat map shows beside its panel of words."""

    SOURCE_AND_OVERLAY = "source_and_overlay"
    OVERLAY = "overlay"


REPORT_KINDS = (ResultKind.SCORE_REPORT, ResultKind.MEASUREMENT_REPORT, ResultKind.CAD_REPORT)
"""Structured Reports: those of a revision name the ones of the revision before."""

PROFILES: Mapping[str, tuple[ResultKind, ...]] = {
    "workstation": (ResultKind.CAD_REPORT, ResultKind.HEAT_MAP),
    "ohif": (
        ResultKind.SCORE_REPORT,
        ResultKind.MEASUREMENT_REPORT,
        ResultKind.HEAT_MAP,
        ResultKind.SUMMARY_PAGE,
    ),
    "weasis": (ResultKind.SCORE_REPORT, ResultKind.PRESENTATION_STATE, ResultKind.HEAT_MAP),
    "everything": tuple(kind for kind in ResultKind if kind not in EXPERIMENTAL),
}
"""Named sets of kinds, one for each sort of reader."""
