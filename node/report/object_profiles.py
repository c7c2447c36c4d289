"""What each kind of result object is in DICOM: SOP class, template, every code, when it is written.

The conformance statement is made from this table. A test holds it against objects that were
written: no object may hold a code that is not listed here for its kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.sr.codedict import codes as dicom_codes
from pydicom.sr.coding import Code
from pydicom.uid import (
    UID,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MammographyCADSRStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from node.report import codes
from node.report.parametric_map import LONGEST_SIDE_PX
from node.report.structured_report import SOP_CLASSES
from node.result_kinds import ResultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class CodesUsed:
    """Codes that stand in an object on the same condition."""

    when: str
    codes: tuple[Code, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectProfile:
    """What a kind of result object is in DICOM.

    Attributes
    ----------
    sop_class_uids
        By default the first; another one where a setting says so.
    modality
        Modality (0008,0060).
    title
        Document title of a Structured Report or Key Object Selection, else None.
    content
        Template, or what a reader sees.
    when
        How many are written of one revision of a study, and on what condition.
    codes
        Every coded concept that it may hold, but for those of its source that it repeats: view
        modifiers, and the View Code Sequence (0054,0220).
    """

    sop_class_uids: tuple[UID, ...]
    modality: str
    title: Code | None
    content: str
    when: str
    codes: tuple[CodesUsed, ...]


_EQUIPMENT = (
    CodesUsed(when="always", codes=(codes.PROCESSING_EQUIPMENT,)),
    CodesUsed(when="if the source names its manufacturer", codes=(codes.ACQUISITION_EQUIPMENT,)),
)
_VIEWS = CodesUsed(when="if the view is known (CID 4014)", codes=tuple(codes.VIEWS.values()))
_MODIFIERS = CodesUsed(
    when="for each view modifier of the source; its value is the source's own",
    codes=(codes.IMAGE_VIEW_MODIFIER,),
)
_BREASTS = CodesUsed(when="if the side is known", codes=tuple(codes.BREAST_OF.values()))
_LANGUAGE = CodesUsed(when="always", codes=(codes.LANGUAGE, codes.ENGLISH_UNITED_STATES))
_OBSERVER = CodesUsed(
    when="always (TID 1004)",
    codes=(
        dicom_codes.DCM.ObserverType,
        dicom_codes.DCM.Device,
        dicom_codes.DCM.DeviceObserverUID,
        dicom_codes.DCM.DeviceObserverName,
        dicom_codes.DCM.DeviceObserverManufacturer,
        dicom_codes.DCM.DeviceObserverModelName,
        dicom_codes.DCM.DeviceObserverSerialNumber,
    ),
)
_ALGORITHM = (codes.ALGORITHM_NAME, codes.ALGORITHM_VERSION, codes.ALGORITHM_PARAMETERS)
_ORIENTATION_AND_SPACING = CodesUsed(
    when="of each image, if it says so",
    codes=(
        codes.IMAGE_LATERALITY,
        codes.IMAGE_VIEW,
        codes.IMAGE_VIEW_MODIFIER,
        codes.PATIENT_ORIENTATION_ROW,
        codes.PATIENT_ORIENTATION_COLUMN,
        codes.STUDY_DATE,
        codes.STUDY_TIME,
        codes.HORIZONTAL_PIXEL_SPACING,
        codes.VERTICAL_PIXEL_SPACING,
    ),
)
_LIBRARY = (
    CodesUsed(
        when="if the study holds an image (TID 1600)",
        codes=(
            codes.IMAGE_LIBRARY,
            codes.IMAGE_LIBRARY_GROUP,
            codes.SOURCE,
            codes.PIXEL_DATA_ROWS,
            codes.PIXEL_DATA_COLUMNS,
            codes.PIXELS,
        ),
    ),
    CodesUsed(
        when="of each image, if it says so; its value is of CID 29",
        codes=(codes.MODALITY,),
    ),
    _ORIENTATION_AND_SPACING,
    CodesUsed(when="with a spacing", codes=(codes.MILLIMETER,)),
    CodesUsed(when="if the side is known", codes=tuple(codes.SIDE_OF.values())),
    _VIEWS,
    _MODIFIERS,
)
_SCORE = (
    CodesUsed(
        when="with each score or region",
        codes=(
            codes.IMAGING_MEASUREMENTS,
            dicom_codes.DCM.MeasurementGroup,
            codes.TRACKING_IDENTIFIER,
            dicom_codes.DCM.TrackingUniqueIdentifier,
        ),
    ),
    CodesUsed(
        when="with each, without `model.prevalence`",
        codes=(codes.MALIGNANCY_SCORE, codes.ZERO_TO_ONE),
    ),
    CodesUsed(
        when="with each, with `model.prevalence`",
        codes=(codes.PROBABILITY_OF_CANCER, codes.PERCENT),
    ),
)
_REPORT = (
    _LANGUAGE,
    _OBSERVER,
    CodesUsed(
        when="always (TID 1500)",
        codes=(
            codes.PROCEDURE_REPORTED,
            codes.IMAGING_PROCEDURE,
            codes.QUALITATIVE_EVALUATIONS,
            codes.INTENDED_USE,
            codes.ABOUT_SCORE,
        ),
    ),
    *_LIBRARY,
    CodesUsed(
        when="with scores or regions, once for all of them (TID 4019)",
        codes=(*_ALGORITHM, dicom_codes.DCM.AlgorithmFamily, codes.ARTIFICIAL_INTELLIGENCE),
    ),
    *_SCORE,
    *_EQUIPMENT,
)
_PICTURE = (
    CodesUsed(when="always", codes=(codes.SPATIAL_RESAMPLING, codes.BREAST)),
    CodesUsed(when="for each image drawn", codes=(codes.SOURCE_IMAGE_FOR_PROCESSING,)),
    *_EQUIPMENT,
)

OBJECT_PROFILES: Mapping[ResultKind, ObjectProfile] = {
    ResultKind.SCORE_REPORT: ObjectProfile(
        sop_class_uids=tuple(SOP_CLASSES.values()),
        modality="SR",
        title=codes.ONCOLOGY_MEASUREMENT_REPORT,
        content="TID 1500 with TID 1501 groups: scores by view, breast and study, the model, its "
        "operating point, why an image was not analysed, or why the analysis failed",
        when="one, always",
        codes=(
            *_REPORT,
            CodesUsed(
                when="always",
                codes=(
                    codes.OUTCOME,
                    codes.MODEL,
                    codes.WEIGHTS_SHA256,
                    codes.CALIBRATION_PREVALENCE,
                    codes.THRESHOLD,
                    codes.CHOSEN_FOR,
                    codes.SENSITIVITY,
                    codes.SPECIFICITY,
                    codes.ROLL_UP,
                ),
            ),
            CodesUsed(
                when="one of them",
                codes=(
                    codes.ALL_ANALYSED,
                    codes.SOME_ANALYSED,
                    codes.NONE_ANALYSED,
                    codes.ANALYSIS_FAILED,
                ),
            ),
            CodesUsed(when="if the analysis failed", codes=(codes.WHY_FAILED,)),
            CodesUsed(when="with `model.prevalence`", codes=(codes.SITE_PREVALENCE,)),
            CodesUsed(when="for each image that was not analysed", codes=(codes.NOT_ANALYSED,)),
            CodesUsed(
                when="with each score",
                codes=(
                    codes.SOURCE_OF_MEASUREMENT,
                    codes.CALL,
                    codes.AT_OR_ABOVE,
                    codes.BELOW,
                    dicom_codes.SCT.FindingSite,
                    codes.BREAST,
                ),
            ),
            _BREASTS,
        ),
    ),
    ResultKind.MEASUREMENT_REPORT: ObjectProfile(
        sop_class_uids=tuple(SOP_CLASSES.values()),
        modality="SR",
        title=codes.IMAGING_MEASUREMENT_REPORT,
        content="TID 1500 with TID 1410 groups: one closed POLYLINE for each region",
        when="one, if a view has a region",
        codes=(
            *_REPORT,
            CodesUsed(
                when="with each region (TID 1410)",
                codes=(
                    dicom_codes.DCM.Finding,
                    codes.LESION,
                    dicom_codes.DCM.ImageRegion,
                    dicom_codes.DCM.GeometricPurposeOfRegion,
                    codes.BOUNDED_BY,
                ),
            ),
            CodesUsed(
                when="with each region of a view at or above the operating point",
                codes=(codes.IMPRESSION, codes.MALIGNANT),
            ),
        ),
    ),
    ResultKind.CAD_REPORT: ObjectProfile(
        sop_class_uids=(MammographyCADSRStorage,),
        modality="SR",
        title=codes.MAMMOGRAPHY_CAD_REPORT,
        content="TID 4000: image library, how the processing ended, and for each region a Single "
        "Image Finding (TID 4006) of the type that the manifest of the weights names, with center, "
        "outline, and the score of the view as its certainty",
        when="one, if the study holds an image",
        codes=(
            _LANGUAGE,
            CodesUsed(when="always (TID 4020)", codes=(codes.IMAGE_LIBRARY,)),
            _ORIENTATION_AND_SPACING,
            CodesUsed(
                when="of each image, if it says so", codes=(codes.CONTENT_DATE, codes.CONTENT_TIME)
            ),
            CodesUsed(when="with a spacing", codes=(codes.MICROMETER,)),
            _VIEWS,
            _MODIFIERS,
            _BREASTS,
            CodesUsed(
                when="always (TID 4001, 4002)",
                codes=(codes.CAD_SUMMARY, codes.IMPRESSION_DESCRIPTION),
            ),
            CodesUsed(
                when="one of them (CID 6047)",
                codes=(
                    codes.ALL_SUCCEEDED_WITHOUT_FINDINGS,
                    codes.ALL_SUCCEEDED_WITH_FINDINGS,
                    codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS,
                    codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS,
                    codes.NONE_SUCCEEDED,
                ),
            ),
            CodesUsed(
                when="for each breast with a region (TID 4003, 4006, 4021)",
                codes=(
                    codes.INDIVIDUAL_IMPRESSION,
                    codes.RENDERING_INTENT,
                    codes.PRESENTATION_REQUIRED,
                    codes.SINGLE_IMAGE_FINDING,
                    codes.TRACKING_IDENTIFIER,
                    codes.CERTAINTY_OF_FINDING,
                    codes.PERCENT,
                    codes.CENTER,
                    codes.OUTLINE,
                ),
            ),
            CodesUsed(
                when="one of them, by `finding` in the manifest (CID 6014)",
                codes=tuple(codes.FINDINGS.values()),
            ),
            CodesUsed(
                when="with a Selected region",
                codes=(codes.SELECTED_REGION_DESCRIPTION,),
            ),
            CodesUsed(
                when="with another finding, with `model.prevalence`",
                codes=(codes.PROBABILITY_OF_CANCER,),
            ),
            CodesUsed(
                when="always (TID 4015)",
                codes=(
                    codes.SUMMARY_OF_DETECTIONS,
                    codes.DETECTION_PERFORMED,
                    codes.SUMMARY_OF_ANALYSES,
                    codes.NOT_ATTEMPTED,
                ),
            ),
            CodesUsed(
                when="one of them (CID 6042)",
                codes=(codes.SUCCEEDED, codes.PARTIALLY_SUCCEEDED, codes.FAILED),
            ),
            CodesUsed(when="if an image was analysed", codes=(codes.SUCCESSFUL_DETECTIONS,)),
            CodesUsed(when="if one failed", codes=(codes.FAILED_DETECTIONS,)),
            CodesUsed(
                when="with the impression, each finding and the detections (TID 4019)",
                codes=_ALGORITHM,
            ),
            *_EQUIPMENT,
        ),
    ),
    ResultKind.HEAT_MAP: ObjectProfile(
        sop_class_uids=(SecondaryCaptureImageStorage,),
        modality="OT",
        title=None,
        content="RGB picture: the view, and beside it the view with the Grad-CAM of the score laid "
        "over it; by `results.heat_map` the latter alone. Turned as mammograms hang (PS3.17 Y.4), "
        "by Patient Orientation; where that is missing, or view or picture contradict it, mirrored "
        "if the chest wall is seen on the wrong side. Derivation Description says what was done; "
        "Patient Orientation is that of the picture, or empty",
        when="one for each view that was analysed",
        codes=(*_PICTURE, _VIEWS),
    ),
    ResultKind.SUMMARY_PAGE: ObjectProfile(
        sop_class_uids=(SecondaryCaptureImageStorage,),
        modality="OT",
        title=None,
        content="RGB picture: the four standard views in hanging order, small, with the scores of "
        "breasts and study; an empty place says why. Views are turned as in `heat_map`",
        when="one, always",
        codes=(*_PICTURE, CodesUsed(when="always", codes=(codes.SUMMARY_OF_VIEWS,))),
    ),
    ResultKind.PRESENTATION_STATE: ObjectProfile(
        sop_class_uids=(GrayscaleSoftcopyPresentationStateStorage,),
        modality="PR",
        title=None,
        content="graphic layer AIMARKS: a closed POLYLINE in pixels and its name for each region, "
        "the score as text; modality and VOI transformation of the source",
        when="one for each view with a region, unless it is in colour",
        codes=_EQUIPMENT,
    ),
    ResultKind.PARAMETRIC_MAP: ObjectProfile(
        sop_class_uids=(ParametricMapStorage,),
        modality="OT",
        title=None,
        content="one frame of float32: the Grad-CAM, 0 to 1, on the pixel grid of the source, "
        f"reduced to {LONGEST_SIDE_PX} pixels on the longer side; frame of reference, position and "
        "orientation are made up and say so",
        when="experimental, only for a destination that names it: one for each analysed view with "
        "a pixel spacing",
        codes=(
            *_PICTURE,
            CodesUsed(
                when="always", codes=(codes.QUANTITY, codes.CLASS_ACTIVATION, codes.ZERO_TO_ONE)
            ),
        ),
    ),
    ResultKind.KEY_OBJECT: ObjectProfile(
        sop_class_uids=(KeyObjectSelectionDocumentStorage,),
        modality="KO",
        title=codes.OF_INTEREST,
        content="TID 2010: the views with a region",
        when="experimental, only for a destination that names it: one, if a view has a region",
        codes=(
            _LANGUAGE,
            _OBSERVER,
            CodesUsed(when="always", codes=(codes.KEY_OBJECT_DESCRIPTION,)),
            *_EQUIPMENT,
        ),
    ),
}
