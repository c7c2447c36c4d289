"""The summary page: one Secondary Capture a revision, the study at a glance."""

from pydicom.sequence import Sequence

from model.views import Laterality
from node.report import codes, provenance
from node.report.hanging import hanging_of
from node.report.secondary_capture import begin_capture
from node.report.source_image import label_of
from node.report.summary_picture import draw_summary, hung
from node.results import InstanceResult, ResultKind, ResultObject, StudyResult

SERIES_NUMBER = 9006
SERIES_DESCRIPTION = "AI summary page"


def write_summary_page(result: StudyResult) -> list[ResultObject]:
    """Write the summary page of a study, also if no image of it could be analysed.

    Parameters
    ----------
    result
        The analysis, with at least one instance.

    Returns
    -------
    objects
        One Secondary Capture, in a series of its own.
    """
    drawn = tuple(image for image in hung(result) if image is not None and image.score is not None)
    ds = begin_capture(
        result,
        kind=ResultKind.SUMMARY_PAGE,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        instance_number=1,
        inputs=result.instances,
        drawn=drawn,
        derivation=(
            f"Standard views with Grad-CAM of {provenance.model_label(result)}, and the scores of "
            f"breasts and study{_turned(drawn)}"
            if drawn
            else f"Why no standard view was analysed with {provenance.model_label(result)}"
        ),
        pixels=draw_summary(result),
    )
    # Type 2C: the page has several orientations (PS3.3 C.7.6.1.1.1).
    ds.PatientOrientation = None
    sides = {image.laterality for image in drawn}
    if sides == set(Laterality):
        ds.ImageLaterality = "B"
    elif sides:
        ds.ImageLaterality = sides.pop()
    else:
        # Type 2C for a paired body part without Image Laterality (PS3.3 C.7.3.1).
        ds.Laterality = None
    # One item is allowed, and no standard view is true of the page; without any, OHIF's mammography
    # layout never loads.
    ds.ViewCodeSequence = Sequence([codes.code_item(codes.SUMMARY_OF_VIEWS)])
    ds.CodingSchemeIdentificationSequence = Sequence([provenance.private_scheme()])
    return [ResultObject(kind=ResultKind.SUMMARY_PAGE, index=0, dataset=ds)]


def _turned(drawn: tuple[InstanceResult, ...]) -> str:
    """Say which of the images do not hang as they are stored."""
    words = [(label_of(image), hanging_of(image).transformation.words) for image in drawn]
    return "".join(f"; {label} {turned}" for label, turned in words if turned)
