"""Small seeded untrained networks, written as the shipped weights are: a file and its manifest."""

from pathlib import Path

import keras

from manifests import made_up_manifest
from model.manifest import MANIFEST_FILE, OperatingPoint, PlattScaling, RegionRule, sha256_of
from model.network import CLASSES, GRAD_CAM_LAYER, build, network_id
from model.preprocess import PREPROCESS_VERSION

WEIGHTS_FILE = "untrained.weights.h5"


def write_untrained_weights(
    folder: Path,
    *,
    input_size_px: tuple[int, int] = (96, 72),
    classes: tuple[str, ...] = CLASSES,
    seed: int = 7,
    threshold: float = 0.5,
    region_score_at_least: float = 0.0,
) -> Path:
    """Write the real network with seeded random weights, and a manifest that fits it.

    The scores mean nothing, but they are the same on every run, differ between images, and every
    path through the model is the one that trained weights take. Returns `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    build(input_size_px, classes=classes).save_weights(folder / WEIGHTS_FILE)
    manifest = made_up_manifest(
        name="untrained",
        version="0",
        weights_file=WEIGHTS_FILE,
        sha256=sha256_of(folder / WEIGHTS_FILE),
        network=network_id(classes),
        input_size_px=input_size_px,
        preprocess_version=PREPROCESS_VERSION,
        classes=classes,
        grad_cam_layer=GRAD_CAM_LAYER,
        calibration=PlattScaling(slope=1.0, offset=0.0, prevalence=0.5),
        operating_point=OperatingPoint(
            threshold=threshold, chosen_for="a test", sensitivity=0.5, specificity=0.5
        ),
        region_rule=RegionRule(
            score_at_least=region_score_at_least,
            heat_map_at_least=0.6,
            area_at_least=0.0,
            regions_at_most=2,
        ),
        start_weights="random, seeded",
        known_gaps=("untrained",),
    )
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return folder
