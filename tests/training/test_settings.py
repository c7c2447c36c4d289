import tomllib
from pathlib import Path

import pytest

from training.errors import SettingsError
from training.settings import Stage, TrainingSettings, read_settings

CONFIG = Path(__file__).parents[2] / "config"


def written(folder: Path, text: str) -> Path:
    file = folder / "run.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_settings_file_holds_every_setting_with_its_default() -> None:
    values = tomllib.loads((CONFIG / "training.toml").read_text(encoding="utf-8"))

    assert read_settings(CONFIG / "training.toml") == TrainingSettings()
    assert set(values) == set(TrainingSettings.model_fields)
    assert set(values["augmentation"]) == set(TrainingSettings().augmentation.model_dump())
    # A stage has no other data set by default; the file shows both keys behind a "#".
    first = values["stages"][0]
    assert set(first) | {"data_set", "data_folder"} == set(Stage.model_fields)


def test_a_comment_in_the_settings_file_is_what_the_documentation_of_the_setting_says() -> None:
    text = (CONFIG / "training.toml").read_text(encoding="utf-8")

    for name in ("seed", "dropout", "ema_momentum", "focal_gamma", "adaptation_batches"):
        before = text.partition(f"\n{name} = ")[0]
        assert before.rpartition("\n")[2].startswith("# "), name


def test_the_run_of_the_shipped_weights_is_valid() -> None:
    settings = read_settings(CONFIG / "shipped-weights.toml", start_weights="elsewhere.weights.h5")

    assert settings.start_weights == "elsewhere.weights.h5"
    one, other = settings.input_size_px, settings.crop_size_px
    assert one[0] / one[1] == pytest.approx(other[0] / other[1])


def test_one_setting_is_changed_from_the_command_line() -> None:
    settings = read_settings(
        None, changes=["augmentation.zoom=0.3", "optimizer=adamw", "input_size_px=[128, 128]"]
    )

    assert settings.augmentation.zoom == 0.3
    assert settings.optimizer == "adamw"
    assert settings.input_size_px == (128, 128)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batch_sise = 3", ["batch_sise", "unknown key", "Did you mean batch_size?"]),
        ("[augmentation]\nzom = 0.1", ["augmentation.zom", "Did you mean zoom?"]),
        ("[[stages]]\nepoch = 3", ["stages[0].epoch", "Did you mean epochs?"]),
        ("batch_size = 0", ["batch_size", "found 0", "greater than or equal to 1"]),
        ('loss = "hinge"', ["loss", "'hinge'", "'cross_entropy' or 'focal'"]),
        ("classes = 4", ["classes", "found 4", "2 or 3"]),
        ("stages = []", ["stages", "at least 1 item"]),
        ("input_size_px = [16, 16]", ["input_size_px of at least 32"]),
        ("crop_size_px = [256, 400]", ["same aspect ratio"]),
        ("crop_size_px = [128, 128]", ["not smaller than input_size_px"]),
        ("[[stages]]\nwarm_up_epochs = 1", ["stages[0]", 'schedule = "cosine"']),
        ('[[stages]]\ndata_folder = "a"', ["stages[0]", "only with its data_set"]),
        ('[[stages]]\ndata_set = "breast_mri"', ["last stage on the run's own data_set"]),
        ("batch_size = ", ["--config", "run.toml", "TOML"]),
    ],
)
def test_a_setting_that_is_not_accepted_is_named_with_what_it_held_and_what_would_be(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(written(tmp_path, text))

    for word in words:
        assert word in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_a_settings_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        read_settings(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("change", ["batch_size", "=3", "batch_size.more=3"])
def test_a_change_that_sets_nothing_is_refused(change: str) -> None:
    with pytest.raises(SettingsError, match=r"--set|batch_size"):
        read_settings(None, changes=[change])
