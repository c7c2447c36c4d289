"""The measurement report: regions with coordinates, when a view has one.

A TID 1500 document under the title (126000, DCM, "Imaging Measurement Report"). Every group is a
TID 1410 with a closed POLYLINE of five points, which OHIF draws as a box; it opens the first
group's image, so the most suspicious image comes first.
"""

import numpy as np
from highdicom.sr import (
    ContentSequence,
    ImageRegion,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForRegion,
    TrackingIdentifier,
)

from model.explain import Region
from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from node.report import codes, provenance
from node.report.source_image import label_of
from node.report.structured_report import (
    algorithm,
    is_called,
    score_measurement,
    structured_report,
    text,
)
from node.results import InstanceResult, ResultKind, ResultObject, StudyResult

SERIES_NUMBER = 9002
SERIES_DESCRIPTION = "Regions"


def write_measurement_report(result: StudyResult) -> list[ResultObject]:
    """Write the measurement report of a study.

    Parameters
    ----------
    result
        The analysis.

    Returns
    -------
    objects
        One Comprehensive SR document, or none if no view has a region: a report without a
        measurement would be empty, and the score report says what there is to say.
    """
    images = tuple(
        sorted(
            (instance for instance in result.analysed if instance.regions),
            key=lambda instance: -(instance.score or 0.0),
        )
    )
    if not images:
        return []
    dataset = structured_report(
        result,
        kind=ResultKind.MEASUREMENT_REPORT,
        title=codes.IMAGING_MEASUREMENT_REPORT,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        images=images,
        groups=[
            _group(result, image, region, f"AI {number}: {label_of(image)}")
            for number, (image, region) in enumerate(
                ((image, region) for image in images for region in image.regions), start=1
            )
        ],
        evaluations=[text(codes.INTENDED_USE, NOT_FOR_DIAGNOSTIC_USE)],
        replaces=(ResultKind.MEASUREMENT_REPORT,),
    )
    return [ResultObject(kind=ResultKind.MEASUREMENT_REPORT, index=0, dataset=dataset)]


def _group(
    result: StudyResult, image: InstanceResult, region: Region, label: str
) -> ContentSequence:
    """TID 1410: one region of one image, with the score of that image."""
    score = image.score or 0.0
    impressions = []
    if is_called(result, score):
        impressions.append(QualitativeEvaluation(codes.IMPRESSION, codes.MALIGNANT))
    # No Finding Site: OHIF makes an odd second label of it, and the library says the side.
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=provenance.tracking_uid(result, ResultKind.MEASUREMENT_REPORT, label),
            identifier=label,
        ),
        referenced_region=ImageRegion(
            "POLYLINE",
            _outline(region),
            SourceImageForRegion(str(image.source.SOPClassUID), image.sop_instance_uid),
        ),
        finding_type=codes.LESION,
        algorithm_id=algorithm(result),
        geometric_purpose=codes.BOUNDED_BY,
        measurements=[score_measurement(result, score)],
        qualitative_evaluations=impressions,
    )


def _outline(region: Region) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Corners of the region, clockwise and closed.

    Shape (5, 2), each row (column, row) from the corner of the first pixel, as SCOORD counts
    (PS3.3 C.18.6.1.2): the half-open box in whole pixels is the outline as it stands.
    """
    return np.array(
        [
            [region.left, region.top],
            [region.right, region.top],
            [region.right, region.bottom],
            [region.left, region.bottom],
            [region.left, region.top],
        ],
        dtype=np.float64,
    )
