import numpy as np
import numpy.typing as npt
import pytest

from training.augment import NO_AUGMENTATION
from training.batches import InferenceBatches, TrainingBatches

SIZE_PX = (64, 48)


def batches_of(class_indices: list[int], **changed: object) -> TrainingBatches:
    crops = np.full((len(class_indices), 80, 60), 100, np.uint8)
    # Each image is recognised by its grey value, which nothing here changes.
    crops += np.arange(len(class_indices), dtype=np.uint8)[:, None, None]
    settings: dict[str, object] = {
        "classes": 2,
        "size_px": SIZE_PX,
        "batch_size": 4,
        "sampling": "ratio",
        "negatives_per_positive": 1.5,
        "seed": 1,
        "augmentation": NO_AUGMENTATION,
    }
    return TrainingBatches(crops, np.array(class_indices), **(settings | changed))  # type: ignore[arg-type]


def list_of(batches: TrainingBatches) -> list[tuple[npt.NDArray[np.float32], ...]]:
    return [batches[index] for index in range(len(batches))]


def drawn(batches: TrainingBatches) -> list[int]:
    images = np.concatenate([batch[0] for batch in list_of(batches)])
    return [round(float(image.max())) - 100 for image in images]


def test_an_epoch_has_every_cancer_once_and_the_stated_ratio() -> None:
    batches = batches_of([1] * 8 + [0] * 40)

    images = drawn(batches)

    assert len(batches) == 5
    assert sorted(image for image in images if image < 8) == list(range(8))
    assert len([image for image in images if image >= 8]) == 12


def test_the_next_epoch_draws_other_images_without_cancer() -> None:
    batches = batches_of([1] * 8 + [0] * 40)
    first = drawn(batches)

    batches.go_to_epoch(1)

    assert set(drawn(batches)) != set(first)


def test_an_epoch_is_the_same_whatever_was_drawn_before_it() -> None:
    one, other = (batches_of([1] * 8 + [0] * 40) for _ in range(2))
    one.go_to_epoch(5)

    one.go_to_epoch(1)
    other.go_to_epoch(1)

    for ours, theirs in zip(list_of(one), list_of(other), strict=True):
        for part, other_part in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(part, other_part)


def test_labels_go_with_their_images() -> None:
    batches = batches_of([1] * 8 + [0] * 40)

    for index in range(len(batches)):
        images, classes, *_ = batches[index]
        is_cancer = [round(float(image.max())) - 100 < 8 for image in images]
        assert classes.argmax(axis=1).tolist() == [int(value) for value in is_cancer]


def test_every_image_is_drawn_once_an_epoch_where_all_are_wanted() -> None:
    batches = batches_of([1] * 3 + [0] * 17, sampling="all")

    assert sorted(drawn(batches)) == list(range(20))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_balanced_batch_has_as_many_of_each_class(classes: int) -> None:
    indices = [0] * 20 + [1] * 6 + ([2] * 4 if classes == 3 else [])

    batches = batches_of(indices, sampling="balanced", classes=classes, batch_size=6)

    for index in range(len(batches)):
        assert batches[index][1].sum(axis=0).tolist() == [6 / classes] * classes
    # The rare ones come again before the common ones have all been seen once.
    assert max(np.bincount(drawn(batches))[:20]) == 1


def test_of_three_classes_the_last_is_drawn_once_and_the_others_by_the_ratio() -> None:
    batches = batches_of([0] * 20 + [1] * 20 + [2] * 8, classes=3, negatives_per_positive=2.0)

    images = drawn(batches)

    assert sorted(image for image in images if image >= 40) == list(range(40, 48))
    assert len(images) == 24


def test_rare_classes_weigh_more_where_classes_have_weights() -> None:
    batches = batches_of([1] * 5 + [0] * 15, sampling="all", has_class_weights=True)

    _, classes, weights = (np.concatenate(part) for part in zip(*list_of(batches), strict=True))

    assert set(weights[classes[:, 1] == 1]) == {2.0}
    assert weights[classes[:, 0] == 1] == pytest.approx(2 / 3)
    assert weights.mean() == pytest.approx(1.0)


def test_mixing_mixes_images_and_labels_by_the_same_share() -> None:
    # The grey value tells the class: 100 or 200.
    crops = np.repeat(np.array([100] * 8 + [200] * 8, np.uint8), 80 * 60).reshape(16, 80, 60)
    batches = TrainingBatches(
        crops, np.array([0] * 8 + [1] * 8), classes=2, size_px=SIZE_PX, batch_size=8, seed=2,
        augmentation=NO_AUGMENTATION, mixup=4.0,
    )  # fmt: skip

    images, classes = batches[0]

    share = (images[:, 32, 24, 0] - 100) / 100
    np.testing.assert_allclose(classes[:, 1], share, atol=1e-5)
    assert ((share > 0.01) & (share < 0.99)).any()


def test_mixing_is_the_same_every_time() -> None:
    one, again = (batches_of([1] * 8 + [0] * 40, mixup=0.4)[0][0] for _ in range(2))

    np.testing.assert_array_equal(one, again)


def test_inference_keeps_the_order_and_the_last_short_batch() -> None:
    crops = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 6), np.uint8)

    batches = InferenceBatches(crops, batch_size=2)

    images = np.concatenate([batches[index][0] for index in range(len(batches))])
    assert len(batches) == 3
    assert images.shape == (5, 8, 6, 3)
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
