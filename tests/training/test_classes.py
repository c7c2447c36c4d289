from pathlib import Path

import numpy as np
import pytest

from training.classes import check_labels, class_indices, class_names, labels
from training.datasets import DataSet, Float32Array, Label, LabelledImage, Split
from training.errors import DataSetError
from training.splits import split_of


def not_read(image: LabelledImage) -> Float32Array:
    raise AssertionError(image)


def table(labels_of_patients: list[Label], *, without: Split | None = None) -> DataSet:
    """One image a patient, twenty patients a label."""
    images = [
        LabelledImage(
            path=Path(f"{label}-{number}.png"),
            patient_id=f"{label}-{number}",
            label=label,
            source="drawn",
        )
        for label in labels_of_patients
        for number in range(20)
        if label is not Label.MALIGNANT or split_of(f"{label}-{number}") is not without
    ]
    return DataSet(
        name="drawn", licence="", citation="", images=tuple(images), read_display=not_read,
        known_gaps=(),
    )  # fmt: skip


def test_of_two_classes_everything_but_malignant_is_the_first() -> None:
    data_set = table([Label.NO_CANCER, Label.NORMAL, Label.BENIGN, Label.MALIGNANT])

    indices = class_indices(data_set.images, 2)

    np.testing.assert_array_equal(indices == 1, labels(data_set.images))
    assert class_names(2)[1] == "cancer"


def test_three_classes_stand_in_the_order_of_the_softmax() -> None:
    data_set = table([Label.NORMAL, Label.BENIGN, Label.MALIGNANT])

    indices = class_indices(data_set.images, 3)

    names = [class_names(3)[index] for index in indices]
    assert names == [image.label.value for image in data_set.images]


def test_labels_that_do_not_tell_normal_from_benign_cannot_teach_three_classes() -> None:
    with pytest.raises(DataSetError, match=r"20 × no_cancer.*classes = 2"):
        check_labels(table([Label.NO_CANCER, Label.MALIGNANT]), 3)


def test_a_class_without_an_image_is_named() -> None:
    with pytest.raises(DataSetError, match="every class in the train split; found 0 × normal"):
        check_labels(table([Label.BENIGN, Label.MALIGNANT]), 3)


@pytest.mark.parametrize("label", list(Label))
def test_one_class_alone_cannot_be_trained_on(label: Label) -> None:
    with pytest.raises(DataSetError, match="every class in the train split"):
        check_labels(table([label]), 2)


def test_a_class_that_is_missing_from_validation_alone_is_named_too() -> None:
    data_set = table([Label.NO_CANCER, Label.MALIGNANT], without=Split.VALIDATION)

    with pytest.raises(DataSetError, match=r"validation split; found .* 0 × cancer"):
        check_labels(data_set, 2)


def test_a_stage_before_may_lack_a_class_but_not_cancer() -> None:
    check_labels(table([Label.BENIGN, Label.MALIGNANT]), 3, is_pretraining=True)

    with pytest.raises(DataSetError, match="every class"):
        check_labels(table([Label.NORMAL, Label.BENIGN]), 3, is_pretraining=True)
