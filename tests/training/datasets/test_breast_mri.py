from pathlib import Path

from data_set_layouts import write_class_folders

from model.preprocess import to_network_input
from training.datasets import Label, breast_mri


def test_slices_of_both_classes_are_read_and_preprocessed(tmp_path: Path) -> None:
    data_set = breast_mri.read(write_class_folders(tmp_path))

    assert {image.label for image in data_set.images} == {Label.BENIGN, Label.MALIGNANT}
    assert {image.source for image in data_set.images} == {"breast_mri"}
    for image in data_set.images:
        assert to_network_input(data_set.read_display(image), (64, 48)).breast_mask.any()
