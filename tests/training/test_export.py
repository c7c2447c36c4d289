import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from evaluated_runs import SIZE_PX, drawn_data_set, write_run

from model.errors import WeightsError
from model.manifest import (
    MANIFEST_FILE,
    NOT_FOR_DIAGNOSTIC_USE,
    Manifest,
    PlattScaling,
    read_manifest,
    sha256_of,
)
from model.network import build, load
from training.candidates import CHOSEN_WEIGHTS_FILE
from training.datasets import DataSet, Split
from training.errors import RunError
from training.evaluate import EVALUATION_FOLDER, evaluate
from training.evaluation.scores import read_scores
from training.export import export, store_kernels_as_float16
from training.predict import softmax
from training.settings import TrainingSettings

# The whole way through export, once, is in test_run.py.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXPORT_WITH_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from training.datasets import rsna
from training.errors import RunError
from training.export import export
from training.settings import TrainingSettings
settings = TrainingSettings.model_validate_json(sys.argv[1])
data_set = rsna.read(settings.data_folder)
# No file can grow beyond this: the weights do not fit.
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    export(data_set, settings, Path(sys.argv[2]))
except RunError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return drawn_data_set(tmp_path_factory.mktemp("data") / "rsna", patients=60)


@pytest.fixture(scope="module")
def run(data_set: DataSet, tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    data_folder = data_set.images[0].path.parents[1]
    return write_run(data_set, data_folder, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def evaluated(data_set: DataSet, run: TrainingSettings) -> Manifest:
    return evaluate(data_set, run)


@pytest.fixture(scope="module")
def exported(
    data_set: DataSet,
    run: TrainingSettings,
    evaluated: Manifest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """What an export wrote; a test that changes it takes a copy."""
    folder = tmp_path_factory.mktemp("exported") / "weights"
    export(data_set, run, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_exported_weights_load_and_score_as_the_chosen_ones(
    run: TrainingSettings, evaluated: Manifest, exported: Path
) -> None:
    manifest = read_manifest(exported)

    same = {"weights_file", "sha256"}
    assert manifest.model_dump(exclude=same) == evaluated.model_dump(exclude=same)
    assert set(contents(exported)) == {
        manifest.weights_file, MANIFEST_FILE, "MODEL_CARD.md", "LICENSE",
    }  # fmt: skip
    crops = np.random.default_rng(0).integers(0, 256, (4, *SIZE_PX), np.uint8)
    before = softmax(load(evaluated, run.out_folder), crops)
    # float16 keeps eleven bits of a kernel.
    np.testing.assert_allclose(softmax(load(manifest, exported), crops), before, atol=0.005)


def test_kernels_stay_float32_where_float16_would_move_a_score(
    data_set: DataSet, run: TrainingSettings, evaluated: Manifest, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    settings = run.model_copy(update={"out_folder": tmp_path / "run"})
    shutil.copytree(run.out_folder, settings.out_folder)
    # So steep at the first image that the eleventh bit of a kernel decides its score.
    output = read_scores(run.out_folder / EVALUATION_FOLDER / Split.VALIDATION).outputs[0, -1]
    log_odds = float(np.log(output / (1 - output)))
    steep = PlattScaling(slope=1000.0, offset=-1000.0 * log_odds, prevalence=0.3)
    described = evaluated.model_copy(update={"calibration": steep})
    (settings.out_folder / MANIFEST_FILE).write_text(described.to_json(), encoding="utf-8")

    manifest = export(data_set, settings, folder)

    with h5py.File(folder / manifest.weights_file) as file:
        assert kinds_of(file) == {1: {"float32"}, 2: {"float32"}}
    assert sha256_of(folder / manifest.weights_file) == evaluated.sha256
    assert "stored as float32" in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")


def kinds_of(file: h5py.File) -> dict[int, set[str]]:
    """Types of the arrays in a weights file that are no counters: of one axis, and of more."""
    kinds: dict[int, set[str]] = {}

    def look(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim:
            kinds.setdefault(min(item.ndim, 2), set()).add(str(item.dtype))

    file.visititems(look)
    return kinds


def test_card_and_licence_say_what_the_manifest_says(data_set: DataSet, exported: Path) -> None:
    manifest = read_manifest(exported)

    card = (exported / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert NOT_FOR_DIAGNOSTIC_USE in card
    assert manifest.figures is not None
    assert f"{manifest.figures.test.image_auc.value:.3f}" in card
    assert all(gap in card for gap in manifest.known_gaps)
    licence = (exported / "LICENSE").read_text(encoding="utf-8")
    assert "non-commercial" in licence
    assert data_set.citation in licence


def test_weights_that_changed_since_they_were_evaluated_are_not_exported(
    data_set: DataSet, run: TrainingSettings, evaluated: Manifest, exported: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(exported, folder)
    before = contents(folder)
    elsewhere = run.model_copy(update={"out_folder": tmp_path / "run"})
    elsewhere.out_folder.mkdir()
    (elsewhere.out_folder / MANIFEST_FILE).write_text(evaluated.to_json())
    build(SIZE_PX).save_weights(elsewhere.out_folder / CHOSEN_WEIGHTS_FILE)

    with pytest.raises(RunError, match="Evaluate the run first, or again"):
        export(data_set, elsewhere, folder)

    assert contents(folder) == before
    assert not list(tmp_path.glob(".export-*"))


def test_a_folder_of_other_files_is_not_replaced(
    data_set: DataSet, run: TrainingSettings, evaluated: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(RunError, match="other files, which an export would remove"):
        export(data_set, run, tmp_path)

    assert contents(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_disk_that_fills_up_leaves_the_old_weights_and_nothing_half_written(
    run: TrainingSettings, exported: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(exported, folder)
    before = contents(folder)

    done = subprocess.run(
        [sys.executable, "-c", EXPORT_WITH_A_FULL_DISK, run.model_dump_json(), str(folder)],
        capture_output=True,
        check=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )

    assert "room and the right to write the weights" in done.stdout
    assert "make room and export again" in done.stdout
    assert contents(folder) == before
    assert read_manifest(folder) == read_manifest(exported)
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1_000_000


def test_half_of_a_weights_file_is_not_loadable(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(exported, folder)
    weights = folder / read_manifest(folder).weights_file
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])

    with pytest.raises(WeightsError, match="SHA-256"):
        read_manifest(folder)


def test_only_kernels_are_stored_as_float16(run: TrainingSettings, tmp_path: Path) -> None:
    small = tmp_path / "small.weights.h5"

    store_kernels_as_float16(run.out_folder / CHOSEN_WEIGHTS_FILE, small)

    with h5py.File(small) as file:
        assert kinds_of(file) == {1: {"float32"}, 2: {"float16"}}
    original = (run.out_folder / CHOSEN_WEIGHTS_FILE).stat().st_size
    assert small.stat().st_size < 0.56 * original
