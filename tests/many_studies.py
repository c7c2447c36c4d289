"""The studies that every kind of result must be right for, each under a sentence."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000

import phantoms
import study_results
from model.explain import Region
from node.errors import TriageReason
from node.results import StudyResult

IMPLANT_DISPLACED = ("399209000", "SCT", "implant displaced")
# PS3.5 6.2 allows 64 characters in each group of a name; dciodvfy 64 in all of it.
LONG_NAME = f"{'Ng' * 20}^{'Xo' * 11}Y"

CHARACTER_SETS = {
    "Latin alphabet No. 1": ("ISO_IR 100", "Müller-Ångström^Zoë"),
    "Latin alphabet No. 2": ("ISO_IR 101", "Dvořáková^Zdeňka"),
    "Cyrillic": ("ISO_IR 144", "Люкceмбypг^Нина"),
    "Arabic": ("ISO_IR 127", "قباني^لنزار"),
    "Greek": ("ISO_IR 126", "Διονυσίου^Μαρία"),
    "Hebrew": ("ISO_IR 138", "שרון^דבורה"),
    "Thai": ("ISO_IR 166", "นามสกุล^ชื่อ"),
    "UTF-8": ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
    "Chinese, GB 18030": ("GB18030", "Wang^XiaoDong=王^小东"),
    "Chinese by code extension": (["", "ISO 2022 IR 58"], "Zhang^XiaoDong=张^小东"),
    "Japanese katakana": ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾊﾅｺ"),
    "Japanese by code extension": (
        ["", "ISO 2022 IR 87"],
        "Yamada^Hanako=山田^花子=やまだ^はなこ",
    ),
    "Japanese by code extension from katakana": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        "ﾔﾏﾀﾞ^ﾊﾅｺ=山田^花子=やまだ^はなこ",
    ),
    "Korean by code extension": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
}
"""Specific Character Set (0008,0005) and a name that needs it: PS3.5 annexes H to K, and others.

All but one that dciodvfy does not know, `UNKNOWN_TO_DCIODVFY`.
"""

UNKNOWN_TO_DCIODVFY = {
    "Chinese, GBK": ("GBK", "Wang^XiaoDong=王^小东"),
}
"""It calls a valid name in this invalid, in the source as well."""


def two_views_of_a_kind() -> StudyResult:
    """The same view was taken twice, and both are suspicious."""
    uid = phantoms.uid("a repeat")
    first, second = (
        phantoms.mammogram(instance_number=number, study_instance_uid=uid) for number in (1, 2)
    )
    return study_results.study(
        study_results.analysed(first, score=0.7), study_results.analysed(second, score=0.8)
    )


def region_at_the_edge() -> StudyResult:
    """A region touches the edges of the image."""
    return with_regions(region(0, 0, 60, 50), region(200, 150, 256, 192))


def region_over_everything() -> StudyResult:
    """A region is the whole image."""
    return with_regions(region(0, 0, 256, 192))


def region_of_one_pixel() -> StudyResult:
    """A region is a single pixel."""
    return with_regions(region(80, 120, 81, 121))


def without_region() -> StudyResult:
    """A view is above the operating point and none of its heat map passes the region rule."""
    return with_regions()


def at_the_operating_point() -> StudyResult:
    """The score is the operating point, and 0 and 1 stand beside it."""
    views = phantoms.screening_study()
    scores = (study_results.THRESHOLD, 0.0, 1.0, 0.3999999)
    return study_results.study(
        *(study_results.analysed(ds, score=score) for ds, score in zip(views, scores, strict=True))
    )


def absent_type_2() -> StudyResult:
    """No attribute of patient and study is there but the UID."""
    return study_results.one_view(
        PatientName=None, PatientID=None, PatientBirthDate=None, PatientSex=None,
        StudyDate=None, StudyTime=None, StudyID=None, AccessionNumber=None,
        ReferringPhysicianName=None, StudyDescription=None, SpecificCharacterSet=None,
        SeriesNumber=None, Manufacturer=None,
    )  # fmt: skip


def empty_type_2() -> StudyResult:
    """Every attribute of patient and study is empty but the UID."""
    return study_results.one_view(
        PatientName="", PatientID="", PatientBirthDate="", PatientSex="",
        StudyDate="", StudyTime="", StudyID="", AccessionNumber="",
        ReferringPhysicianName="", StudyDescription="", SpecificCharacterSet="",
        SeriesNumber="", Manufacturer="", SoftwareVersions="",
    )  # fmt: skip


def name_of_groups_only() -> StudyResult:
    """A name has an ideographic group, and no alphabetic one."""
    return study_results.one_view(SpecificCharacterSet="ISO_IR 192", PatientName="=山田^花子")


def longest_values() -> StudyResult:
    """Every text of the source is as long as it may be."""
    return study_results.one_view(
        PatientName=LONG_NAME, PatientID="P" * 64, IssuerOfPatientID="I" * 64,
        AccessionNumber="A" * 16, StudyID="S" * 16, StudyDescription="D" * 64,
        ReferringPhysicianName=LONG_NAME, Manufacturer="M" * 64, InstitutionName="N" * 64,
        ManufacturerModelName="O" * 64, DeviceSerialNumber="Q" * 64,
        SoftwareVersions=["V" * 64, "W" * 63], StationName="T" * 16,
    )  # fmt: skip


def longest_model() -> StudyResult:
    """Name and version of the weights are longer than any attribute takes."""
    weights = study_results.manifest(name="a-network-of-a-very-long-name-" * 4)
    return study_results.study(
        study_results.analysed(phantoms.mammogram(), score=0.7, weights=weights), weights=weights
    )


def identified_by_others() -> StudyResult:
    """The source names who issued the Patient ID, other IDs, and how it was de-identified."""
    other = Dataset()
    other.PatientID = "OTHER-7"
    other.IssuerOfPatientID = "Another hospital"
    other.TypeOfPatientID = "TEXT"
    qualifiers = Dataset()
    qualifiers.UniversalEntityID = "2.999.1"
    qualifiers.UniversalEntityIDType = "ISO"
    accession = Dataset()
    accession.LocalNamespaceEntityID = "HOSPITAL"
    return study_results.one_view(
        IssuerOfPatientID="The hospital",
        IssuerOfPatientIDQualifiersSequence=Sequence([qualifiers]),
        OtherPatientIDsSequence=Sequence([other, other]),
        IssuerOfAccessionNumberSequence=Sequence([accession]),
        PatientIdentityRemoved="YES",
        DeidentificationMethod=["names replaced", "dates kept"],
    )


def west_of_greenwich() -> StudyResult:
    """The source counts its time from another zone, where it is still the day before."""
    return study_results.one_view(TimezoneOffsetFromUTC="-1100")


def without_side() -> StudyResult:
    """Two views say which view they are, and not of which breast."""
    views = phantoms.screening_study(ImageLaterality=None)
    return study_results.study(
        *(study_results.analysed(ds, score=0.6) for ds in (views[0], views[2]))
    )


def without_view() -> StudyResult:
    """Two images say which breast they show, and not in which view."""
    views = phantoms.screening_study(ViewPosition=None, ViewCodeSequence=None)
    return study_results.study(*(study_results.analysed(ds, score=0.6) for ds in views[:2]))


def without_orientation() -> StudyResult:
    """The orientation of the patient is empty."""
    return study_results.one_view(PatientOrientation="")


def mirrored() -> StudyResult:
    """An image is mirrored: its chest wall is on the other side."""
    return study_results.one_view(PatientOrientation=["A", "L"])


def turned_by_half() -> StudyResult:
    """An image is upside down."""
    return study_results.one_view(PatientOrientation=["A", "R"])


def turned_by_a_quarter() -> StudyResult:
    """An image lies on its side."""
    return study_results.one_view(PatientOrientation=["L", "A"], rows=192, columns=256)


def non_square_pixels() -> StudyResult:
    """Pixels are twice as high as they are wide."""
    return study_results.one_view(ImagerPixelSpacing=[0.2, 0.1], PixelSpacing=[0.19, 0.095])


def non_square_film() -> StudyResult:
    """A digitised film has no spacing, but says that its pixels are not square."""
    film = phantoms.film(PixelAspectRatio=[2, 1])
    return study_results.study(study_results.analysed(film, score=0.7))


def very_large() -> StudyResult:
    """An image has 28 million pixels."""
    # Only the header: nothing in a result is read from the pixel data.
    return study_results.one_view(Rows=5928, Columns=4728, ImagerPixelSpacing=[0.05, 0.05])


def very_narrow() -> StudyResult:
    """An image is ten times as high as it is wide."""
    return study_results.one_view(rows=960, columns=96)


def monochrome_1() -> StudyResult:
    """Every image is stored inverted."""
    return study_results.positive(photometric="MONOCHROME1")


def lossy() -> StudyResult:
    """Every image was compressed with loss, one of them twice."""
    first = phantoms.mammogram(
        transfer_syntax=JPEG2000,
        LossyImageCompression="01",
        LossyImageCompressionRatio=4,
        LossyImageCompressionMethod="ISO_15444_1",
    )
    second = phantoms.mammogram(
        laterality="L",
        transfer_syntax=JPEG2000,
        LossyImageCompression="01",
        LossyImageCompressionRatio=[8, 4],
        LossyImageCompressionMethod=["ISO_10918_1", "ISO_15444_1"],
    )
    return study_results.study(*(study_results.analysed(ds, score=0.7) for ds in (first, second)))


def implants() -> StudyResult:
    """A breast with an implant: the views that show it are left out, the displaced ones are not."""
    uid = phantoms.uid("implants")
    shown, displaced = (
        [
            phantoms.mammogram(
                view_position=view,
                instance_number=number,
                study_instance_uid=uid,
                BreastImplantPresent="YES",
            )
            for number, view in enumerate(("CC", "MLO"), start=first)
        ]
        for first in (1, 3)
    )
    for ds in displaced:
        ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence(
            [phantoms.code(*IMPLANT_DISPLACED)]
        )
    return study_results.study(
        *(study_results.triaged(ds, TriageReason.IMPLANT_NOT_DISPLACED) for ds in shown),
        *(study_results.analysed(ds, score=0.5) for ds in displaced),
    )


def left_out_for_every_reason() -> StudyResult:
    """One image was analysed; the others were left out, for every reason that there is."""
    uid = phantoms.uid("every reason")
    first, *others = (
        phantoms.mammogram(instance_number=number, study_instance_uid=uid)
        for number in range(1, len(TriageReason) + 2)
    )
    return study_results.study(
        study_results.analysed(first, score=0.7),
        *(
            study_results.triaged(ds, reason, "Columns (0028,0011): expected 192, found 12")
            for ds, reason in zip(others, TriageReason, strict=True)
        ),
    )


def old_codes() -> StudyResult:
    """The view is coded as equipment did before SNOMED CT."""
    view = phantoms.code("R-10242", "SRT", "cranio-caudal")
    modifier = phantoms.code("R-102D2", "SRT", "Cleavage")
    view.ViewModifierCodeSequence = Sequence([modifier])
    return study_results.one_view(ViewPosition="", ViewCodeSequence=Sequence([view]))


def of_files() -> StudyResult:
    """Files were analysed, outside a study log."""
    return replace(study_results.one_view(), revision=None)


def beyond_the_character_set() -> StudyResult:
    """The weights are described in letters that the source's character set does not have."""
    weights = study_results.manifest(name="réseau-de-Zoë")
    source = phantoms.mammogram(SpecificCharacterSet="ISO_IR 127", PatientName="قباني^لنزار")
    return study_results.study(
        study_results.analysed(source, score=0.7, weights=weights), weights=weights
    )


def with_regions(*regions: Region) -> StudyResult:
    """Make a study of one suspicious view with these regions."""
    (instance,) = study_results.one_view().instances
    return study_results.study(replace(instance, regions=regions))


def region(top: int, left: int, bottom: int, right: int) -> Region:
    """Make a region whose heat map is highest in its middle."""
    return Region(
        top=top,
        left=left,
        bottom=bottom,
        right=right,
        peak_row=float(np.mean([top, bottom])),
        peak_column=float(np.mean([left, right])),
        peak_value=1.0,
    )


def in_character_set(name: str) -> StudyResult:
    """Make a study of one view of a patient whose name needs a character set."""
    return study_results.study(study_results.analysed(view_in_character_set(name), score=0.7))


def view_in_character_set(name: str) -> Dataset:
    """Make a view of a patient whose name needs a character set; each is another patient."""
    every = CHARACTER_SETS | UNKNOWN_TO_DCIODVFY
    declared, patient_name = every[name]
    # No letter of ASCII beside the kana: as ISO_IR 13 pydicom could not write it.
    text = patient_name.split("=")[-1].replace("^", "")
    seed = 1000 + list(every).index(name)
    return phantoms.mammogram(
        seed=seed,
        SpecificCharacterSet=declared,
        PatientName=patient_name,
        ReferringPhysicianName=patient_name,
        PatientID=text,
        StudyDescription=text,
        InstitutionName=text,
    )


def _sentence(made: Callable[[], StudyResult]) -> str:
    """First line of what a study says of itself."""
    return (made.__doc__ or made.__name__).splitlines()[0].rstrip(".")


MANY_STUDIES: dict[str, Callable[[], StudyResult]] = {
    _sentence(made): made
    for made in (
        *study_results.STUDIES.values(),
        two_views_of_a_kind,
        region_at_the_edge,
        region_over_everything,
        region_of_one_pixel,
        without_region,
        at_the_operating_point,
        absent_type_2,
        empty_type_2,
        name_of_groups_only,
        longest_values,
        longest_model,
        identified_by_others,
        west_of_greenwich,
        without_side,
        without_view,
        without_orientation,
        mirrored,
        turned_by_half,
        turned_by_a_quarter,
        non_square_pixels,
        non_square_film,
        very_large,
        very_narrow,
        monochrome_1,
        lossy,
        implants,
        left_out_for_every_reason,
        old_codes,
        of_files,
        beyond_the_character_set,
    )
} | {f"A patient's name in {name}": partial(in_character_set, name) for name in CHARACTER_SETS}
"""By their sentences."""
