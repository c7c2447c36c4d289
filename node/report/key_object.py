"""The key object selection: which views have a region, for worklists and viewers that follow it.

Experimental, and in no profile.

References
----------
DICOM PS3.3 A.35.4 Key Object Selection Document, C.17.6; PS3.16 TID 2010.
"""

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ImageContentItem,
    RelationshipTypeValues,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import KeyObjectSelectionDocumentStorage

from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from node.report import codes, envelope, provenance
from node.report.document import add_content, nest, references
from node.report.source_image import reference_to
from node.report.structured_report import observation_context, text
from node.results import InstanceResult, ResultKind, ResultObject, StudyResult

SERIES_NUMBER = 9008
SERIES_DESCRIPTION = "Flagged views"


def write_key_object(result: StudyResult) -> list[ResultObject]:
    """Write the key object selection of a study.

    Parameters
    ----------
    result
        The analysis.

    Returns
    -------
    objects
        One document that refers to every view with a region, or none if no view has one. Its UIDs
        depend on those views alone.
    """
    flagged = tuple(instance for instance in result.analysed if instance.regions)
    if not flagged:
        return []
    ds = envelope.begin(
        result,
        kind=ResultKind.KEY_OBJECT,
        sop_class_uid=KeyObjectSelectionDocumentStorage,
        modality="KO",
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        instance_number=1,
        index=0,
        inputs=flagged,
    )
    # Type 2 and empty: nobody told us of a performed procedure step (PS3.3 C.17.6.1).
    ds.ReferencedPerformedProcedureStepSequence = Sequence()
    ds.CurrentRequestedProcedureEvidenceSequence = references(
        result.study_instance_uid,
        [(str(i.source.SeriesInstanceUID), *reference_to(i)) for i in flagged],
    )
    add_content(
        ds,
        nest(
            ContainerContentItem(codes.OF_INTEREST, template_id="2010"),
            CodeContentItem(
                codes.LANGUAGE,
                codes.ENGLISH_UNITED_STATES,
                RelationshipTypeValues.HAS_CONCEPT_MOD,
            ),
            *observation_context(result),
            text(
                codes.KEY_OBJECT_DESCRIPTION,
                f"Views with an AI region by {provenance.model_label(result)}. "
                f"{NOT_FOR_DIAGNOSTIC_USE}",
            ),
            *(_image(instance) for instance in flagged),
        ),
    )
    return [ResultObject(kind=ResultKind.KEY_OBJECT, index=0, dataset=ds)]


def _image(instance: InstanceResult) -> Dataset:
    """Refer to a view; TID 2010 gives its images no concept name."""
    item = ImageContentItem(
        codes.SOURCE,
        *reference_to(instance),
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    del item.ConceptNameCodeSequence
    return item
