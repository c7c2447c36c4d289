"""From a `StudyResult` to the DICOM objects that were asked for, through one table of writers."""

from collections.abc import Callable, Collection, Mapping

from node.report.cad_report import write_cad_report
from node.report.heat_map import write_heat_maps
from node.report.key_object import write_key_object
from node.report.measurement_report import write_measurement_report
from node.report.parametric_map import write_parametric_maps
from node.report.presentation_state import write_presentation_states
from node.report.score_report import write_score_report
from node.report.summary_page import write_summary_page
from node.results import ResultKind, ResultObject, StudyResult

WRITERS: Mapping[ResultKind, Callable[[StudyResult], list[ResultObject]]] = {
    ResultKind.SCORE_REPORT: write_score_report,
    ResultKind.MEASUREMENT_REPORT: write_measurement_report,
    ResultKind.CAD_REPORT: write_cad_report,
    ResultKind.HEAT_MAP: write_heat_maps,
    ResultKind.SUMMARY_PAGE: write_summary_page,
    ResultKind.PRESENTATION_STATE: write_presentation_states,
    ResultKind.PARAMETRIC_MAP: write_parametric_maps,
    ResultKind.KEY_OBJECT: write_key_object,
}
"""One writer for each kind; a new kind is a file of its own and a line here."""


def write_results(result: StudyResult, kinds: Collection[ResultKind]) -> list[ResultObject]:
    """Write the results of a study as DICOM objects.

    Parameters
    ----------
    result
        The analysis, with at least one instance.
    kinds
        What is wanted; the order of the objects is that of `WRITERS`.

    Returns
    -------
    objects
        None for a kind that does not apply: a measurement report needs a region, a heat map an
        analysed view. The same analysis gives the same bytes on any day, with the same libraries.
        The heat map of a view keeps its SOP Instance UID in a later revision, but carries that
        revision's date: where a store has it already, the one it has stays.
    """
    return [made for kind, write in WRITERS.items() if kind in kinds for made in write(result)]
