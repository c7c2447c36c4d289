"""The measurement report: regions with coordinates, when a view has one.

A TID 1500 document under the title (126000, DCM, "Imaging Measurement Report"). Every group is a
TID 1410 with a closed POLYLINE of five points, which OHIF draws as a box; it opens the first
group's image, so the most suspicious image comes first.
"""

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
from node.report.regions import outline, tracking_identifier
from node.report.structured_report import (
    score_measurement,
    structured_report,
    text,
)
from node.results import InstanceResult, ResultKind, ResultObject, StudyResult

SERIES_NUMBER = 9002
SERIES_DESCRIPTION = "Regions"

_ABOUT_SCORE = (
    "The number beside a region is the score of the whole view, not of the region: Grad-CAM shows "
    "what raised the score. What the score means is in the score report."
)


def write_measurement_report(result: StudyResult) -> list[ResultObject]:
    """Write the measurement report of a study.

    Parameters
    ----------
    result
        The analysis.

    Returns
    -------
    objects
        One document, of the same SOP class as the score report; or none if no view has a region: a
        report without a measurement would be empty, and the score report says what there is to say.
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
            _group(result, image, region, number)
            for image in images
            for number, region in enumerate(image.regions, start=1)
        ],
        evaluations=[
            text(codes.INTENDED_USE, NOT_FOR_DIAGNOSTIC_USE),
            text(codes.ABOUT_SCORE, _ABOUT_SCORE),
        ],
        replaces=(ResultKind.MEASUREMENT_REPORT,),
    )
    return [ResultObject(kind=ResultKind.MEASUREMENT_REPORT, index=0, dataset=dataset)]


def _group(
    result: StudyResult, image: InstanceResult, region: Region, number: int
) -> ContentSequence:
    """TID 1410: one region of one image, with the score of that image."""
    score = image.score or 0.0
    impressions = []
    if result.manifest.operating_point.is_reached(score):
        impressions.append(QualitativeEvaluation(codes.IMPRESSION, codes.MALIGNANT))
    # No Finding Site: OHIF makes an odd second label of it, and the library says the side.
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=provenance.region_uid(result, image, number),
            identifier=tracking_identifier(image, number),
        ),
        referenced_region=ImageRegion(
            "POLYLINE",
            outline(region),
            SourceImageForRegion(str(image.source.SOPClassUID), image.sop_instance_uid),
        ),
        finding_type=codes.LESION,
        geometric_purpose=codes.BOUNDED_BY,
        measurements=[score_measurement(result, score)],
        qualitative_evaluations=impressions,
    )
