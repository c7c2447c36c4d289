from dataclasses import replace
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


def test_a_leak_names_a_file_and_a_remedy() -> None:
    with pytest.raises(LeakError, match=r"1_0\.webp.*Split by patient"):
        check_no_leak(
            {Split.TRAIN: (image(1, 0),), Split.VALIDATION: (), Split.TEST: (image(1, 1),)}
        )


def published(patient: int, split: Split) -> LabelledImage:
    return replace(image(patient, list(Split).index(split)), split=split)


def test_the_publishers_test_split_is_kept_and_some_of_its_training_validates() -> None:
    images = [published(patient, Split.TRAIN) for patient in range(500)]
    images += [published(patient, Split.TEST) for patient in range(500, 600)]

    splits = by_split(images)

    assert {i.patient_id for i in splits[Split.TEST]} == {str(p) for p in range(500, 600)}
    # Three standard deviations of a share of 0.16 among 500 are 0.05.
    assert len(splits[Split.VALIDATION]) / 500 == pytest.approx(0.16, abs=0.05)
    assert len(splits[Split.TRAIN]) + len(splits[Split.VALIDATION]) == 500


def test_a_publishers_own_validation_split_is_kept() -> None:
    images = [published(patient, Split.TRAIN) for patient in range(50)]
    images += [published(patient, Split.VALIDATION) for patient in range(50, 60)]

    splits = by_split(images)

    assert len(splits[Split.TRAIN]) == 50
    assert {i.patient_id for i in splits[Split.VALIDATION]} == {str(p) for p in range(50, 60)}


def test_the_publishers_split_is_dropped_where_it_is_not_wanted() -> None:
    images = [published(patient, Split.TRAIN) for patient in range(50)]

    splits = by_split(images, keeps_published=False)

    assert {i.patient_id: split for split, held in splits.items() for i in held} == {
        str(patient): split_of(str(patient)) for patient in range(50)
    }


def test_a_patient_in_two_published_splits_is_a_leak() -> None:
    # Of the hundred, some train; each of them tests too.
    images = [published(patient, Split.TRAIN) for patient in range(100)]
    images += [published(patient, Split.TEST) for patient in range(100)]

    with pytest.raises(LeakError, match=r"train and test share \d+ patients"):
        by_split(images)
