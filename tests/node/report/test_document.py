from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    NumContentItem,
    RelationshipTypeValues,
)
from pydicom.dataset import Dataset

from node.report import codes, document


def test_references_are_grouped_by_series() -> None:
    items = document.references("1.2", [("1.3", "1.4", "1.5"), ("1.3", "1.4", "1.6")])

    series = items[0].ReferencedSeriesSequence
    assert len(items) == len(series) == 1
    found = [item.ReferencedSOPInstanceUID for item in series[0].ReferencedSOPSequence]
    assert found == ["1.5", "1.6"]


def test_a_whole_number_is_written_without_decimals_and_another_with_its_own() -> None:
    numbers = [
        NumContentItem(
            codes.HORIZONTAL_PIXEL_SPACING,
            value,
            codes.MICROMETER,
            relationship_type=RelationshipTypeValues.HAS_ACQ_CONTEXT,
        )
        for value in (100.0, 94.5)
    ]
    image = CodeContentItem(codes.IMPRESSION, codes.MALIGNANT, RelationshipTypeValues.CONTAINS)
    root = ContainerContentItem(codes.MAMMOGRAPHY_CAD_REPORT, template_id="4000")
    ds = Dataset()

    document.add_content(ds, document.nest(root, document.nest(image, *numbers)))

    written = [
        str(item.MeasuredValueSequence[0].NumericValue)
        for item in ds.ContentSequence[0].ContentSequence
    ]
    assert written == ["100", "94.5"]
