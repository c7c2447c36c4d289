"""Coded concepts of the result objects, each with the table of PS3.16 that it comes from.

What the Standard has no code for stands in a private coding scheme, which every object that uses
it declares (PS3.3 C.12.1.1.7.1, Coding Scheme Identification Sequence).
"""

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from model.manifest import FindingType
from model.views import Laterality

PRIVATE_SCHEME = "99MAMMONODE"
PRIVATE_SCHEME_NAME = "Concepts of mammonode that have no standard code"


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


def _private(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME, meaning)


# Document titles: CID 7021 Measurement Report Document Titles
IMAGING_MEASUREMENT_REPORT = _dcm("126000", "Imaging Measurement Report")
ONCOLOGY_MEASUREMENT_REPORT = _dcm("126001", "Oncology Measurement Report")

# TID 1500 Measurement Report, TID 1600 Image Library
IMAGE_LIBRARY = _dcm("111028", "Image Library")
IMAGE_LIBRARY_GROUP = _dcm("126200", "Image Library Group")
IMAGING_MEASUREMENTS = _dcm("126010", "Imaging Measurements")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
PROCEDURE_REPORTED = _dcm("121058", "Procedure reported")
# CID 100 Quantitative Diagnostic Imaging Procedures: mammography itself is not in it.
IMAGING_PROCEDURE = _sct("363679005", "Imaging procedure")
ENGLISH_UNITED_STATES = Code("en-US", "RFC5646", "English (United States)")

# TID 1602 and 1603, Image Library Entry Descriptors
MODALITY = _dcm("121139", "Modality")
SOURCE = _sct("260753009", "Source")
IMAGE_LATERALITY = _dcm("111027", "Image Laterality")
IMAGE_VIEW = _dcm("111031", "Image View")
STUDY_DATE = _dcm("111060", "Study Date")
STUDY_TIME = _dcm("111061", "Study Time")
PATIENT_ORIENTATION_ROW = _dcm("111044", "Patient Orientation Row")
PATIENT_ORIENTATION_COLUMN = _dcm("111043", "Patient Orientation Column")
PIXEL_DATA_ROWS = _dcm("110910", "Pixel Data Rows")
PIXEL_DATA_COLUMNS = _dcm("110911", "Pixel Data Columns")
HORIZONTAL_PIXEL_SPACING = _dcm("111026", "Horizontal Pixel Spacing")
VERTICAL_PIXEL_SPACING = _dcm("111066", "Vertical Pixel Spacing")

CONTENT_DATE = _dcm("111018", "Content Date")
CONTENT_TIME = _dcm("111019", "Content Time")
IMAGE_VIEW_MODIFIER = _dcm("111032", "Image View Modifier")

# TID 1410 and 1501, measurement groups; TID 4019, the algorithm
SOURCE_OF_MEASUREMENT = _dcm("121112", "Source of Measurement")  # CID 7551
IMPRESSION = _dcm("111023", "Differential Diagnosis/Impression")
MALIGNANT = _sct("21594007", "Malignant")
LESION = _sct("52988006", "Lesion")
BOUNDED_BY = _sct("75958009", "Bounded by")  # CID 219 Geometric Purpose of Region
PROBABILITY_OF_CANCER = _dcm("111047", "Probability of cancer")
ARTIFICIAL_INTELLIGENCE = _dcm("123110", "Artificial Intelligence")  # CID 7162

# TID 4000 Mammography CAD Document Root, to TID 4003
MAMMOGRAPHY_CAD_REPORT = _dcm("111036", "Mammography CAD Report")
LANGUAGE = _dcm("121049", "Language of Content Item and Descendants")
CAD_SUMMARY = _dcm("111017", "CAD Processing and Findings Summary")
IMPRESSION_DESCRIPTION = _dcm("111033", "Impression Description")
INDIVIDUAL_IMPRESSION = _dcm("111034", "Individual Impression/Recommendation")
RENDERING_INTENT = _dcm("111056", "Rendering Intent")
# CID 6034 Intended Use of CAD Output
PRESENTATION_REQUIRED = _dcm(
    "111150", "Presentation Required: Rendering device is expected to present"
)
# CID 6047 CAD Processing and Findings Summary
ALL_SUCCEEDED_WITHOUT_FINDINGS = _dcm("111241", "All algorithms succeeded; without findings")
ALL_SUCCEEDED_WITH_FINDINGS = _dcm("111242", "All algorithms succeeded; with findings")
NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS = _dcm(
    "111243", "Not all algorithms succeeded; without findings"
)
NOT_ALL_SUCCEEDED_WITH_FINDINGS = _dcm("111244", "Not all algorithms succeeded; with findings")
NONE_SUCCEEDED = _dcm("111245", "No algorithms succeeded; without findings")

# TID 4006 Mammography CAD Single Image Finding, TID 4021 Mammography CAD Geometry
SINGLE_IMAGE_FINDING = _dcm("111059", "Single Image Finding")
SELECTED_REGION = _dcm("111099", "Selected region")
# CID 6014 Mammography Single Image Finding, by what the manifest says that a region is
FINDINGS = {
    FindingType.SELECTED_REGION: SELECTED_REGION,
    FindingType.SOFT_TISSUE_LESION: _sct("129793001", "Mammography breast density"),
    FindingType.CALCIFICATION_CLUSTER: _sct("129769006", "Calcification Cluster"),
}
SELECTED_REGION_DESCRIPTION = _dcm("111058", "Selected Region Description")
TRACKING_IDENTIFIER = _dcm("112039", "Tracking Identifier")
CERTAINTY_OF_FINDING = _dcm("111012", "Certainty of Finding")
CENTER = _dcm("111010", "Center")
OUTLINE = _dcm("111041", "Outline")

# TID 4015 CAD Detections Performed, TID 4017 CAD Detection Performed
SUMMARY_OF_DETECTIONS = _dcm("111064", "Summary of Detections")
SUMMARY_OF_ANALYSES = _dcm("111065", "Summary of Analyses")
SUCCESSFUL_DETECTIONS = _dcm("111063", "Successful Detections")
FAILED_DETECTIONS = _dcm("111025", "Failed Detections")
DETECTION_PERFORMED = _dcm("111022", "Detection Performed")
# CID 6042 Status of Results
SUCCEEDED = _dcm("111222", "Succeeded")
PARTIALLY_SUCCEEDED = _dcm("111223", "Partially Succeeded")
FAILED = _dcm("111224", "Failed")
NOT_ATTEMPTED = _dcm("111225", "Not Attempted")

# TID 4019 CAD Algorithm Identification
ALGORITHM_NAME = _dcm("111001", "Algorithm Name")
ALGORITHM_VERSION = _dcm("111003", "Algorithm Version")
ALGORITHM_PARAMETERS = _dcm("111002", "Algorithm Parameters")

# CID 6022 Side
BREAST_OF = {
    Laterality.RIGHT: _sct("73056007", "Right breast"),
    Laterality.LEFT: _sct("80248007", "Left breast"),
}
# CID 244 Laterality: what TID 1602 takes for the side of an image
SIDE_OF = {
    Laterality.RIGHT: _sct("24028007", "Right"),
    Laterality.LEFT: _sct("7771000", "Left"),
}
BREAST = _sct("76752008", "Breast")

# CID 4014 View for Mammography, by the Defined Terms of View Position (0018,5101)
VIEWS = {
    "CC": _sct("399162004", "cranio-caudal"),
    "MLO": _sct("399368009", "medio-lateral oblique"),
    "ML": _sct("399260004", "medio-lateral"),
    "LM": _sct("399352003", "latero-medial"),
    "LMO": _sct("399099002", "latero-medial oblique"),
    "XCCL": _sct("399192008", "cranio-caudal exaggerated laterally"),
    "XCCM": _sct("399101009", "cranio-caudal exaggerated medially"),
    "FB": _sct("399196006", "caudo-cranial (from below)"),
    "SIO": _sct("399188001", "superolateral to inferomedial oblique"),
    "ISO": _sct("441555000", "inferomedial to superolateral oblique"),
}

# CID 7005 Contributing Equipment Purposes of Reference
PROCESSING_EQUIPMENT = _dcm("109102", "Processing Equipment")
ACQUISITION_EQUIPMENT = _dcm("109101", "Acquisition Equipment")
# CID 7202 Source Image Purposes of Reference
SOURCE_IMAGE_FOR_PROCESSING = _dcm("121322", "Source image for image processing operation")

# CID 7203 Image Derivation
SPATIAL_RESAMPLING = _dcm("113085", "Spatial resampling")

# Parametric Map: what the values are, CID 7180 Abstract Multi-dimensional Image Model Components
QUANTITY = _sct("246205007", "Quantity")
CLASS_ACTIVATION = _dcm("130403", "Gradient-weighted class activation")

# TID 2010 Key Object Selection; its titles, CID 7010
OF_INTEREST = _dcm("113000", "Of Interest")
KEY_OBJECT_DESCRIPTION = _dcm("113012", "Key Object Description")

# CID 82 Measurement Units
ZERO_TO_ONE = Code("{0:1}", "UCUM", "range:0:1")
PERCENT = Code("%", "UCUM", "Percent")
MICROMETER = Code("um", "UCUM", "micrometer")
MILLIMETER = Code("mm", "UCUM", "millimeter")
PIXELS = Code("{pixels}", "UCUM", "Pixels")

# What the Standard has no code for
MALIGNANCY_SCORE = _private("MALIGNANCY_SCORE", "AI malignancy score")
CALL = _private("CALL", "Call at the operating point")
AT_OR_ABOVE = _private("AT_OR_ABOVE", "suspicious, at or above operating point")
BELOW = _private("BELOW", "below operating point")
INTENDED_USE = _private("INTENDED_USE", "Intended use")
OUTCOME = _private("OUTCOME", "Images analysed")
ALL_ANALYSED = _private("ALL_ANALYSED", "All images analysed")
SOME_ANALYSED = _private("SOME_ANALYSED", "Some images not analysed")
NONE_ANALYSED = _private("NONE_ANALYSED", "No image analysed")
ANALYSIS_FAILED = _private("ANALYSIS_FAILED", "Analysis failed")
WHY_FAILED = _private("WHY_FAILED", "Why the analysis failed")
NOT_ANALYSED = _private("NOT_ANALYSED", "Image not analysed")
MODEL = _private("MODEL", "Model")
WEIGHTS_SHA256 = _private("WEIGHTS_SHA256", "SHA-256 of the weights")
ABOUT_SCORE = _private("ABOUT_SCORE", "Meaning of the score")
THRESHOLD = _private("THRESHOLD", "Operating point, threshold")
CHOSEN_FOR = _private("CHOSEN_FOR", "Operating point, chosen for")
SENSITIVITY = _private("SENSITIVITY", "Operating point, sensitivity on validation data")
SPECIFICITY = _private("SPECIFICITY", "Operating point, specificity on validation data")
CALIBRATION_PREVALENCE = _private("CALIB_PREVALENCE", "Prevalence of the calibration")
SITE_PREVALENCE = _private("SITE_PREVALENCE", "Prevalence set for this site")
SUMMARY_OF_VIEWS = _private("SUMMARY_OF_VIEWS", "Summary of several views")
ROLL_UP = _private("ROLL_UP", "How scores roll up")


def code_item(code: Code) -> Dataset:
    """Make an item of a code sequence.

    Parameters
    ----------
    code
        The concept.

    Returns
    -------
    item
        With Code Value, Coding Scheme Designator and Code Meaning (PS3.3 8.8).
    """
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item
