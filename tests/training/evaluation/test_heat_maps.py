from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_breasts import write_rsna_layout

from model.classify import Classifier
from model.manifest import read_manifest
from model.network import load
from model.preprocess import to_network_input
from training.datasets import DataSet, rsna
from training.evaluation.heat_maps import heat_maps, why_no_heat_maps
from training.evaluation.scoring import score_images


@pytest.fixture
def data_set(tmp_path: Path) -> DataSet:
    return rsna.read(write_rsna_layout(tmp_path / "rsna", patients=1))


def test_maps_are_those_that_a_node_draws(
    data_set: DataSet, untrained_weights: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(untrained_weights)
    model = load(manifest, untrained_weights)
    scored = score_images(model, data_set, data_set.images, manifest.input_size_px, tmp_path)
    given = to_network_input(data_set.read_display(data_set.images[2]), manifest.input_size_px)
    classifier = Classifier(model, manifest)
    (expected,) = classifier.classify([given])

    (found,) = heat_maps(classifier, data_set, scored, [2])

    np.testing.assert_array_equal(found.values, expected.heat_map.values)
    assert found.geometry == given.geometry
    assert why_no_heat_maps() is None


def test_an_image_that_was_prepared_already_has_a_map_of_its_own_grid(
    data_set: DataSet, untrained_weights: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(untrained_weights)
    model = load(manifest, untrained_weights)
    prepared = replace(data_set, is_prepared=True)
    whole = score_images(model, data_set, data_set.images, manifest.input_size_px, tmp_path / "a")
    scored = replace(whole, geometries=(None,) * len(whole.images))

    (found,) = heat_maps(Classifier(model, manifest), prepared, scored, [0])

    height, width = manifest.input_size_px
    assert (found.geometry.original_rows, found.geometry.original_columns) == (height, width)
    assert found.geometry.to_original(10.0, 20.0) == (10.0, 20.0)
    np.testing.assert_array_equal(found.breast_mask, whole.crops[0] > 0)


def test_no_row_has_no_map_and_compiles_nothing(
    data_set: DataSet, untrained_weights: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(untrained_weights)
    model = load(manifest, untrained_weights)
    scored = score_images(model, data_set, data_set.images, manifest.input_size_px, tmp_path)

    assert heat_maps(Classifier(model, manifest), data_set, scored, []) == []
