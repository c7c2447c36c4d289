"""What the validation split is like: counted right, and put beside weights that lack it."""

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from drawn_breasts import write_rsna_layout
from evaluated_runs import SIZE_PX, drawn_data_set, write_run

from model.errors import WeightsError
from model.image_statistics import STATISTICS
from model.manifest import MANIFEST_FILE, Distribution, Manifest, read_manifest
from model.network import load
from training.card import CARD_FILE
from training.datasets import DataSet, Split, rsna
from training.errors import DataSetError
from training.evaluate import evaluate
from training.evaluation.scoring import ScoredImages, score_images
from training.reference import BINS, add_reference, reference_of
from training.settings import TrainingSettings
from training.splits import by_split

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return drawn_data_set(tmp_path_factory.mktemp("data") / "rsna", patients=60)


@pytest.fixture(scope="module")
def run(data_set: DataSet, tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    data_folder = data_set.images[0].path.parents[1]
    return write_run(data_set, data_folder, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def manifest(data_set: DataSet, run: TrainingSettings) -> Manifest:
    return evaluate(data_set, run)


@pytest.fixture(scope="module")
def scored(data_set: DataSet, run: TrainingSettings, manifest: Manifest) -> ScoredImages:
    images = by_split(data_set.images)[Split.VALIDATION]
    model = load(manifest, run.out_folder)
    return score_images(model, data_set, images, SIZE_PX, run.out_folder / "crops")


def weights_without_reference(run: TrainingSettings, manifest: Manifest, folder: Path) -> Path:
    folder.mkdir()
    shutil.copy(run.out_folder / manifest.weights_file, folder)
    without = manifest.model_copy(update={"reference": None})
    (folder / MANIFEST_FILE).write_text(without.to_json(), encoding="utf-8")
    return folder


def counted(values: list[float], edges: tuple[float, ...]) -> list[int]:
    bounds = (-np.inf, *edges, np.inf)
    return [sum(low <= value < high for value in values) for low, high in pairwise(bounds)]


def assert_counts(found: Distribution, values: list[float], scored: ScoredImages) -> None:
    cancer = [v for v, is_cancer in zip(values, scored.is_cancer, strict=True) if is_cancer]
    others = [v for v, is_cancer in zip(values, scored.is_cancer, strict=True) if not is_cancer]
    assert list(found.cancer) == counted(cancer, found.edges)
    assert list(found.others) == counted(others, found.edges)


def test_every_image_is_counted_in_the_bin_that_holds_its_value(
    manifest: Manifest, scored: ScoredImages
) -> None:
    reference = manifest.reference
    assert reference is not None
    assert (reference.images, reference.patients) == (len(scored.images), len(scored.images) // 4)
    assert set(reference.image_statistics) == set(STATISTICS)
    outputs = scored.outputs[:, manifest.cancer_unit]
    scores = [manifest.calibration.score(float(output)) for output in outputs]
    assert_counts(reference.score, scores, scored)
    for name, distribution in reference.image_statistics.items():
        values = [getattr(each, name) for each in scored.image_statistics]
        assert_counts(distribution, values, scored)
        bins = np.add(distribution.cancer, distribution.others)
        assert len(bins) == BINS
        assert max(bins) - min(bins) <= 1


def test_images_that_came_cropped_have_no_statistics(
    manifest: Manifest, scored: ScoredImages
) -> None:
    prepared = replace(scored, image_statistics=(None,) * len(scored.images))

    assert reference_of(prepared, manifest).image_statistics == {}


def test_weights_without_a_reference_get_the_one_that_an_evaluation_would_have_written(
    data_set: DataSet, run: TrainingSettings, manifest: Manifest, tmp_path: Path
) -> None:
    folder = weights_without_reference(run, manifest, tmp_path / "weights")
    card = "# Weights\n\n## What it has not been shown\n\n- Much.\n"
    (folder / CARD_FILE).write_text(card, encoding="utf-8")

    for _ in range(2):
        written = add_reference(folder, data_set, tmp_path / "cache")

        assert written == read_manifest(folder) == manifest
        words = (folder / CARD_FILE).read_text(encoding="utf-8")
        assert words.count("## Reference for drift") == 1
        assert words.startswith("# Weights\n\n## Reference")
        assert words.endswith("\n\n## What it has not been shown\n\n- Much.\n")


def test_another_data_set_than_that_of_the_figures_is_refused(
    run: TrainingSettings, manifest: Manifest, tmp_path: Path
) -> None:
    folder = weights_without_reference(run, manifest, tmp_path / "weights")
    other = rsna.read(write_rsna_layout(tmp_path / "other", patients=40))

    with pytest.raises(WeightsError, match="the validation split of the figures"):
        add_reference(folder, other, tmp_path / "cache")

    assert read_manifest(folder).reference is None


def test_a_data_set_of_one_class_is_refused(
    data_set: DataSet, run: TrainingSettings, manifest: Manifest, tmp_path: Path
) -> None:
    folder = weights_without_reference(run, manifest, tmp_path / "weights")
    healthy = tuple(image for image in data_set.images if not image.is_cancer)

    with pytest.raises(DataSetError, match="images with and without cancer"):
        add_reference(folder, replace(data_set, images=healthy), tmp_path / "cache")
