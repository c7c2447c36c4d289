import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from drawn_breasts import write_rsna_layout

from model.network import THREE_CLASSES, build
from training.candidates import CHOSEN_WEIGHTS_FILE, load_weights
from training.datasets import DataSet, Float32Array, Label, LabelledImage, Split, rsna
from training.errors import DataSetError, RunError
from training.fit import fit
from training.settings import TrainingSettings
from training.splits import split_of

# The head alone: EfficientNetV2B0's own layers take half a minute to be traced.
HEAD: dict[str, object] = {"trains": "head", "epochs": 8, "learning_rate": 0.01}
TINY: dict[str, object] = {
    "data_set": "rsna",
    "start_weights": "none",
    "input_size_px": (64, 48),
    "crop_size_px": (80, 60),
    "seed": 1,
    "batch_size": 4,
    "sampling": "ratio",
    "adaptation_batches": 1,
}


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = write_rsna_layout(tmp_path_factory.mktemp("data") / "rsna", patients=18)
    return rsna.read(folder)


def settings_of(
    out_folder: Path, *stages: dict[str, object], **changed: object
) -> TrainingSettings:
    return TrainingSettings.model_validate(
        TINY | {"out_folder": out_folder, "stages": stages or [HEAD | {"epochs": 1}]} | changed
    )


def epochs_of(out_folder: Path, stage: int = 1) -> list[dict[str, float]]:
    """Figures of the epochs that a run has kept."""
    file = out_folder / f"stage-{stage}" / "epochs.json"
    if not file.exists():
        return []
    epochs: list[dict[str, float]] = json.loads(file.read_text())["epochs"]
    return epochs


def test_a_run_leaves_the_weights_that_validation_chose_and_never_reads_the_test_split(
    data_set: DataSet, tmp_path: Path
) -> None:
    read: list[str] = []

    def watch(image: LabelledImage) -> Float32Array:
        read.append(image.patient_id)
        return rsna.read_display(image)

    choice = fit(replace(data_set, read_display=watch), settings_of(tmp_path))

    assert choice.candidate in choice.candidates
    assert choice.validation_image_auc == max(choice.candidates.values())
    assert (tmp_path / CHOSEN_WEIGHTS_FILE).exists()
    assert epochs_of(tmp_path)[0]["val_auc"] == choice.candidates["stage 1, epoch 1"]
    assert {split_of(patient) for patient in read} == {Split.TRAIN, Split.VALIDATION}

    # The same folder again, with a stage more: the first is not run again.
    first = tmp_path / "stage-1" / CHOSEN_WEIGHTS_FILE
    written = first.stat().st_mtime_ns
    one_epoch = HEAD | {"epochs": 1}
    longer = fit(data_set, settings_of(tmp_path, one_epoch, one_epoch))

    assert {"stage 1, epoch 1", "stage 2, epoch 1"} == set(longer.candidates)
    assert longer.validation_image_auc >= choice.validation_image_auc
    assert first.stat().st_mtime_ns == written

    # And with other settings it is refused, before anything is touched.
    with pytest.raises(RunError, match="another batch_size, seed"):
        fit(data_set, settings_of(tmp_path, seed=2, batch_size=8))


def test_a_stage_on_other_images_is_a_start_and_never_the_result(
    data_set: DataSet, tmp_path: Path
) -> None:
    other = write_rsna_layout(tmp_path / "other", patients=14, seed=9)
    one_epoch = HEAD | {"epochs": 1}
    before = one_epoch | {"data_set": "rsna", "data_folder": other}

    choice = fit(data_set, settings_of(tmp_path / "run", before, one_epoch))

    assert set(choice.candidates) == {"stage 2, epoch 1"}
    assert len(epochs_of(tmp_path / "run", stage=1)) == 1


def test_three_classes_are_trained_with_every_other_way_of_weighing_them(
    data_set: DataSet, tmp_path: Path
) -> None:
    labels = {True: (Label.MALIGNANT, Label.MALIGNANT), False: (Label.NORMAL, Label.BENIGN)}
    images = tuple(
        replace(image, label=labels[image.is_cancer][number % 2])
        for number, image in enumerate(data_set.images)
    )
    settings = settings_of(
        tmp_path, classes=3, loss="focal", sampling="balanced", class_weights="balanced",
        mixup=0.2, optimizer="adamw", batch_size=6,
    )  # fmt: skip

    fit(replace(data_set, images=images), settings)

    keras.utils.set_random_seed(settings.seed)
    model = build((64, 48), classes=THREE_CLASSES)
    before = np.array(model.get_layer("softmax").get_weights()[0])
    load_weights(model, tmp_path / CHOSEN_WEIGHTS_FILE)
    # Each of the three units has learnt.
    moved = np.abs(model.get_layer("softmax").get_weights()[0] - before).max(axis=0)
    assert moved.shape == (3,)
    assert (moved > 1e-4).all()


def test_a_training_that_runs_away_is_ended_with_what_to_do(
    data_set: DataSet, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"stage-1: .* NaN on validation.* lower learning_rate"):
        fit(data_set, settings_of(tmp_path, HEAD | {"epochs": 1, "learning_rate": 1e38}))

    assert epochs_of(tmp_path) == []


def test_a_data_set_smaller_than_a_batch_is_refused(data_set: DataSet, tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="one batch of 999"):
        fit(data_set, settings_of(tmp_path, batch_size=999))


def test_a_folder_of_a_run_on_other_images_is_refused(data_set: DataSet, tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="one batch"):
        fit(data_set, settings_of(tmp_path, batch_size=999))  # only claims the folder
    fewer = replace(data_set, images=data_set.images[:-4])

    with pytest.raises(RunError, match="begun with another images"):
        fit(fewer, settings_of(tmp_path, batch_size=999))


def test_a_run_that_was_begun_before_there_was_a_setting_goes_on_with_its_default(
    data_set: DataSet, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, batch_size=999)
    with pytest.raises(DataSetError, match="one batch"):
        fit(data_set, settings)  # only claims the folder
    made_with = json.loads((tmp_path / "run.json").read_text())
    del made_with["mixup"], made_with["stages"][0]["plateau_factor"]
    (tmp_path / "run.json").write_text(json.dumps(made_with))

    with pytest.raises(DataSetError, match="one batch"):
        fit(data_set, settings)

    with pytest.raises(RunError, match="another mixup"):
        fit(data_set, settings_of(tmp_path, batch_size=999, mixup=0.1))


class Run:
    """``python -m training fit`` in a process of its own, to be cut short."""

    def __init__(self, config: Path, out_folder: Path) -> None:
        self.out_folder = out_folder
        self._command = [
            sys.executable, "-m", "training", "fit", "--config", str(config),
            "--out", str(out_folder),
        ]  # fmt: skip

    def start(self, *, largest_file_bytes: int = resource.RLIM_INFINITY) -> subprocess.Popen[str]:
        def before() -> None:
            # A background job of a shell passes on that Ctrl+C is ignored.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes, hard))

        return subprocess.Popen(
            self._command,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
        )

    def cut_short(self, with_signal: signal.Signals, *, stage: int = 1) -> tuple[int, str]:
        """End it once an epoch more of a stage is kept; gives exit code and standard error."""
        known = len(epochs_of(self.out_folder, stage))
        process = self.start()
        deadline = time.monotonic() + 240
        while len(epochs_of(self.out_folder, stage)) == known:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "no epoch came to its end"
            time.sleep(0.01)
        process.send_signal(with_signal)
        errors = process.communicate()[1]
        return process.returncode, errors

    def finish(self) -> None:
        process = self.start()
        errors = process.communicate()[1]
        assert process.returncode == 0, errors


def as_toml(values: dict[str, object]) -> list[str]:
    """Texts, numbers and pairs: Python writes them nearly as TOML does."""
    return [
        f"{key} = {list(value) if isinstance(value, tuple) else value!r}"
        for key, value in values.items()
    ]


@pytest.fixture(scope="module")
def config(data_set: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything with a memory is on: plateau, early stopping, a moving average."""
    file = tmp_path_factory.mktemp("config") / "run.toml"
    lines = [
        f"data_folder = {str(data_set.images[0].path.parents[1])!r}",
        "ema_momentum = 0.8",
        'monitor = "val_loss"',
        *as_toml(TINY),
        "[[stages]]",
        *as_toml(HEAD),
        "plateau_patience = 1",
        "early_stopping_patience = 6",
        "averaged_epochs = 2",
    ]
    file.write_text("\n".join(lines))
    return file


@pytest.fixture(scope="module")
def unbroken(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run that nothing interrupted."""
    run = Run(config, tmp_path_factory.mktemp("unbroken"))
    run.finish()
    return run.out_folder


def assert_same_run(one: Path, other: Path) -> None:
    assert epochs_of(one) == epochs_of(other)
    for name in ("choice.json", "stage-1/history.csv"):
        assert (one / name).read_text() == (other / name).read_text()

    def compare(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            assert (item[()] == second[name][()]).all(), name

    with (
        h5py.File(one / CHOSEN_WEIGHTS_FILE) as first,
        h5py.File(other / CHOSEN_WEIGHTS_FILE) as second,
    ):
        first.visititems(compare)


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestInterruption:
    def test_the_same_seed_gives_the_same_figures_and_weights(
        self, config: Path, unbroken: Path, tmp_path: Path
    ) -> None:
        run = Run(config, tmp_path / "again")

        run.finish()

        assert_same_run(run.out_folder, unbroken)

    def test_a_run_that_was_killed_goes_on_and_ends_as_an_unbroken_one(
        self, config: Path, unbroken: Path, tmp_path: Path
    ) -> None:
        run = Run(config, tmp_path / "killed")

        code, _ = run.cut_short(signal.SIGKILL)

        assert code == -signal.SIGKILL
        assert 1 <= len(epochs_of(run.out_folder)) < len(epochs_of(unbroken))
        assert not (run.out_folder / CHOSEN_WEIGHTS_FILE).exists()
        run.finish()
        assert_same_run(run.out_folder, unbroken)

    def test_ctrl_c_ends_a_run_with_one_line_and_it_can_go_on(
        self, config: Path, unbroken: Path, tmp_path: Path
    ) -> None:
        run = Run(config, tmp_path / "interrupted")

        code, errors = run.cut_short(signal.SIGINT)

        assert code == 130
        assert "Traceback" not in errors
        assert errors.splitlines()[-1].startswith("training: interrupted")
        assert not list(run.out_folder.rglob(".unfinished-*"))
        run.finish()
        assert_same_run(run.out_folder, unbroken)

    def test_a_disk_that_fills_up_in_the_middle_of_a_checkpoint_leaves_the_epochs_before(
        self, config: Path, unbroken: Path, tmp_path: Path
    ) -> None:
        run = Run(config, tmp_path / "full")
        run.cut_short(signal.SIGKILL)
        kept = epochs_of(run.out_folder)
        # Room for the weights, but not for the optimizer's state after them.
        weights = max(
            file.stat().st_size for file in (run.out_folder / "stage-1").glob("epoch-*.h5")
        )
        process = run.start(largest_file_bytes=weights + 500_000)
        errors = process.communicate()[1]

        assert process.returncode == 1
        assert "Traceback" not in errors
        assert "expected room to write it" in errors
        assert "a run goes on from its last whole epoch" in errors
        assert epochs_of(run.out_folder) == kept
        assert not list(run.out_folder.rglob(".unfinished-*"))
        run.finish()
        assert_same_run(run.out_folder, unbroken)

    def test_a_run_that_was_killed_while_the_whole_network_learns_ends_as_an_unbroken_one(
        self, data_set: DataSet, tmp_path: Path
    ) -> None:
        config = tmp_path / "run.toml"
        lines = [
            f"data_folder = {str(data_set.images[0].path.parents[1])!r}",
            'optimizer = "adamw"',
            *as_toml(TINY),
            "[[stages]]",
            *as_toml(HEAD | {"epochs": 1}),
            "[[stages]]",
            *as_toml({"epochs": 3, "schedule": "cosine", "averaged_epochs": 2}),
        ]
        config.write_text("\n".join(lines))
        unbroken, killed = Run(config, tmp_path / "unbroken"), Run(config, tmp_path / "killed")
        unbroken.finish()

        code, _ = killed.cut_short(signal.SIGKILL, stage=2)

        assert code == -signal.SIGKILL
        assert 1 <= len(epochs_of(killed.out_folder, stage=2)) < 3
        killed.finish()
        assert epochs_of(killed.out_folder, stage=2) == epochs_of(unbroken.out_folder, stage=2)
        assert_same_run(killed.out_folder, unbroken.out_folder)
