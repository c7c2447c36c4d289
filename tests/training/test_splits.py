from pathlib import Path

import pytest

from training.datasets import Label, LabelledImage, Split
from training.splits import LeakError, by_split, check_no_leak, split_of


def image(patient: int, number: int = 0) -> LabelledImage:
    return LabelledImage(
        path=Path(f"{patient}_{number}.webp"),
        patient_id=str(patient),
        label=Label.NO_CANCER,
        source="made up",
        is_inverted=False,
    )


def test_all_images_of_a_patient_are_in_one_split() -> None:
    images = [image(patient, number) for number in range(4) for patient in range(300)]

    splits = by_split(images)

    where = {
        patient: {
            split for split, held in splits.items() if any(i.patient_id == patient for i in held)
        }
        for patient in map(str, range(300))
    }
    assert all(len(found) == 1 for found in where.values())
    assert sum(len(held) for held in splits.values()) == 1200


def test_the_shares_are_as_stated() -> None:
    drawn = [split_of(str(patient)) for patient in range(20_000)]

    # Three standard deviations of a share of 0.16 among 20,000 are 0.008.
    assert drawn.count(Split.VALIDATION) / len(drawn) == pytest.approx(0.16, abs=0.008)
    assert drawn.count(Split.TEST) / len(drawn) == pytest.approx(0.16, abs=0.008)


def test_a_patient_stays_where_it_was_when_others_join() -> None:
    few = by_split([image(patient) for patient in range(50)])
    many = by_split([image(patient) for patient in reversed(range(500))])

    for split in Split:
        assert {i.patient_id for i in few[split]} <= {i.patient_id for i in many[split]}


def test_the_split_of_a_pseudonym_never_changes() -> None:
    # The shipped weights were trained and tested on exactly this assignment.
    train, validation, test = ("5", "106", "236"), ("2", "9"), ("1025",)
    assert {split_of(patient) for patient in train} == {Split.TRAIN}
    assert {split_of(patient) for patient in validation} == {Split.VALIDATION}
    assert {split_of(patient) for patient in test} == {Split.TEST}


def test_a_shared_patient_is_a_leak() -> None:
    with pytest.raises(LeakError, match="train and test share 1 patients"):
        check_no_leak(
            {Split.TRAIN: (image(1, 0), image(2)), Split.VALIDATION: (), Split.TEST: (image(1, 1),)}
        )


def test_a_shared_file_is_a_leak_even_under_another_pseudonym() -> None:
    same_file = LabelledImage(
        path=Path("1_0.webp"),
        patient_id="another",
        label=Label.NO_CANCER,
        source="made up",
        is_inverted=False,
    )

    with pytest.raises(LeakError, match="1 files"):
        check_no_leak({Split.TRAIN: (image(1),), Split.VALIDATION: (same_file,), Split.TEST: ()})
