"""What the README says of the weights is what their manifest says."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

ROWS = {
    "AUC by image": "image_auc",
    "AUC by breast": "breast_auc",
    "AUC by woman": "patient_auc",
    "control: nine intensity statistics, AUC by image": "shortcut_auc",
    "sensitivity by breast at the operating point": "breast_sensitivity",
    "specificity by breast at the operating point": "breast_specificity",
}


def test_the_figures_of_the_readme_are_those_of_the_manifest() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    manifest = json.loads((ROOT / "model/weights/manifest.json").read_text(encoding="utf-8"))
    figures = manifest["figures"]["test"]

    for row, name in ROWS.items():
        interval = figures[name]
        cells = (
            f"| {row} | {interval['value']:.3f} | {interval['low']:.3f} to {interval['high']:.3f} |"
        )
        assert cells in readme
    counts = "{patients} women, {images} images, {cancer_images} with cancer".format(**figures)
    assert counts in readme


def test_the_first_screen_says_what_it_was_evaluated_on() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:12])
    manifest = json.loads((ROOT / "model/weights/manifest.json").read_text(encoding="utf-8"))
    figures = manifest["figures"]["test"]

    women = re.search(r"Evaluated on (\d+) women", first_screen)
    auc = re.search(r"AUC by woman (\S+), 95 % interval (\S+) to (\S+)\.", first_screen)

    assert women is not None
    assert int(women.group(1)) == figures["patients"]
    assert auc is not None
    interval = figures["patient_auc"]
    assert [f"{interval[key]:.2f}" for key in ("value", "low", "high")] == list(auc.groups())
