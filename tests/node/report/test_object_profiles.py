"""What is stated of each kind is what is written, in every sort of study."""

from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom_codes

import study_results
from node.report import codes
from node.report.object_profiles import OBJECT_PROFILES
from node.report.write import write_results
from node.results import ResultKind

Coded = tuple[str, str, str]

ALL = tuple(ResultKind)
MODALITIES = {
    (code.value, code.scheme_designator, code.meaning)
    for code in dicom_codes.cid29.concepts.values()
}


def codes_in(ds: Dataset) -> Iterator[Coded]:
    """Every code of an object, but the view codes that it repeats from its source."""
    for element in ds:
        if element.VR == "SQ" and element.keyword != "ViewModifierCodeSequence":
            for item in element.value:
                if "CodeValue" in item:
                    yield item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning
                yield from codes_in(item)


def stated(kind: ResultKind) -> set[Coded]:
    profile = OBJECT_PROFILES[kind]
    listed = [code for used in profile.codes for code in used.codes]
    listed += [profile.title] if profile.title is not None else []
    return {(code.value, code.scheme_designator, code.meaning) for code in listed}


def test_every_kind_has_a_profile() -> None:
    assert set(OBJECT_PROFILES) == set(ResultKind)


@pytest.fixture(scope="module")
def written() -> list[tuple[ResultKind, Dataset]]:
    """Every object of every sort of study, without its pixels."""
    objects = []
    for made in study_results.STUDIES.values():
        for one in write_results(made(), ALL):
            for keyword in ("PixelData", "FloatPixelData"):
                if keyword in one.dataset:
                    del one.dataset[keyword]
            objects.append((one.kind, one.dataset))
    return objects


def test_an_object_is_what_its_profile_says(written: list[tuple[ResultKind, Dataset]]) -> None:
    for kind, ds in written:
        profile = OBJECT_PROFILES[kind]

        assert ds.SOPClassUID in profile.sop_class_uids
        assert ds.Modality == profile.modality
        assert set(codes_in(ds)) <= stated(kind) | MODALITIES
        if profile.title is not None:
            assert ds.ConceptNameCodeSequence[0].CodeValue == profile.title.value
            (template,) = ds.ContentTemplateSequence
            assert f"TID {template.TemplateIdentifier}" in profile.content


def test_no_code_is_stated_that_no_object_holds(
    written: list[tuple[ResultKind, Dataset]],
) -> None:
    held: dict[ResultKind, set[Coded]] = {kind: set() for kind in ResultKind}
    for kind, ds in written:
        held[kind] |= set(codes_in(ds))

    unseen = {code[0] for kind in ResultKind for code in stated(kind) - held[kind]}

    # Of the studies of these tests none shows the other views, a view modifier, or images that
    # failed while others had no finding.
    other_views = {code.value for code in codes.VIEWS.values()}
    others = {codes.IMAGE_VIEW_MODIFIER.value, codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS.value}
    assert unseen <= other_views | others
