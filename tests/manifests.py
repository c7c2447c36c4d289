"""Manifests that were made up: the one place where tests say all that a manifest holds."""

from typing import Any

from model.image_statistics import STATISTICS
from model.manifest import (
    NOT_FOR_DIAGNOSTIC_USE,
    Distribution,
    Manifest,
    OperatingPoint,
    PlattScaling,
    Reference,
    RegionRule,
    RollUp,
    RollUpRule,
)


def made_up_manifest(**facts: Any) -> Manifest:
    """Make a manifest that nothing was measured for.

    Parameters
    ----------
    facts
        Fields of `Manifest` that are to be other than they are here. There are no weights to it
        unless `weights_file` and `sha256` name some.
    """
    return Manifest.model_validate(
        {
            "name": "phantom-net",
            "version": "1.2.0",
            "weights_file": "none.weights.h5",
            "sha256": "0123456789abcdef" * 4,
            "network": "efficientnetv2b0",
            "input_size_px": (96, 72),
            "preprocess_version": "1",
            "classes": ("no_cancer", "cancer"),
            "grad_cam_layer": "top_activation",
            "calibration": PlattScaling(slope=1.0, offset=0.0, prevalence=0.25),
            "operating_point": OperatingPoint(
                threshold=0.4,
                chosen_for="90 % specificity by breast",
                sensitivity=0.52,
                specificity=0.9,
            ),
            "roll_up": RollUp(views_to_breast=RollUpRule.MEAN, breasts_to_study=RollUpRule.MAX),
            "region_rule": RegionRule(
                score_at_least=0.4, heat_map_at_least=0.5, area_at_least=0.0, regions_at_most=3
            ),
            "figures": None,
            "start_weights": "none",
            "training_data": (),
            "licence": "MIT",
            "known_gaps": (),
            "intended_use": NOT_FOR_DIAGNOSTIC_USE,
        }
        | facts
    )


def made_up_reference() -> Reference:
    """Make a reference of 400 images, one in four with cancer; every bin holds a fifth of both."""
    edges = {
        "breast_share": (0.40, 0.48, 0.56, 0.64),
        "mean_grey": (100.0, 108.0, 116.0, 124.0),
        "grey_deviation": (38.0, 42.0, 46.0, 50.0),
        "detail": (4.0, 8.0, 12.0, 16.0),
    }
    return Reference(
        patients=100,
        images=400,
        score=Distribution(
            edges=(0.1, 0.2, 0.3, 0.4), cancer=(5, 10, 15, 20, 50), others=(75, 70, 65, 60, 30)
        ),
        image_statistics={
            name: Distribution(edges=edges[name], cancer=(20,) * 5, others=(60,) * 5)
            for name in STATISTICS
        },
    )
