"""Training is Keras 3 and nothing below it: it runs on other back ends than the node's."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_breasts import write_rsna_layout

from model.network import build
from training.candidates import CHOSEN_WEIGHTS_FILE
from training.datasets import Split, rsna
from training.predict import softmax
from training.prepared_crops import prepared_crops
from training.splits import by_split

ROOT = Path(__file__).parents[2]
SIZE_PX = (64, 48)
# JAX is a development dependency; PyTorch is tried where somebody has installed it.
OTHER_BACK_ENDS = ["jax", *(["torch"] if importlib.util.find_spec("torch") else [])]

RUN = """
import sys
from pathlib import Path
import keras, numpy as np
from training.candidates import load_weights
from training.datasets import Split, rsna
from training.fit import fit
from training.prepared_crops import prepared_crops
from training.predict import softmax
from training.settings import read_settings
from training.splits import by_split
from model.network import build

out = Path(sys.argv[2])
data_set = rsna.read(Path(sys.argv[1]))
changes = [
    "input_size_px=[64, 48]", "crop_size_px=[80, 60]", "batch_size=4", "start_weights=none",
    "adaptation_batches=2", "ema_momentum=0.5", "data_set=rsna",
    "stages=[{trains='head', epochs=2, learning_rate=0.001, plateau_patience=1},"
    " {epochs=1, frozen_prefixes=['stem', 'block1', 'block2', 'block3', 'block4', 'block5'],"
    " schedule='cosine', averaged_epochs=2}]",
]
fit(data_set, read_settings(None, changes=changes, out_folder=out))
model = build((64, 48))
load_weights(model, out / "chosen.weights.h5")
images = by_split(data_set.images)[Split.TEST]
crops = prepared_crops(data_set, images, (64, 48), out / "crops")
np.save(out / "scores.npy", softmax(model, crops))
print(keras.backend.backend())
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("back_end", OTHER_BACK_ENDS)
def test_weights_trained_on_another_back_end_score_the_same_on_tensorflow(
    back_end: str, tmp_path: Path
) -> None:
    folder = write_rsna_layout(tmp_path / "rsna", patients=18)
    out = tmp_path / "run"

    run = subprocess.run(
        [sys.executable, "-c", RUN, folder, out],
        env={**os.environ, "KERAS_BACKEND": back_end, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] == back_end
    model = build(SIZE_PX)
    model.load_weights(out / CHOSEN_WEIGHTS_FILE)
    data_set = rsna.read(folder)
    images = by_split(data_set.images)[Split.TEST]
    crops = prepared_crops(data_set, images, SIZE_PX, out / "crops")
    ours = softmax(model, crops)
    np.testing.assert_allclose(ours, np.load(out / "scores.npy"), atol=1e-4)
    # They would agree without having been trained, if nothing had been loaded.
    assert np.abs(ours - softmax(build(SIZE_PX), crops)).max() > 1e-2
