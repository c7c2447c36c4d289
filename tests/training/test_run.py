"""The whole of training on drawn breasts, command by command, as a person would do it."""

from pathlib import Path

import pytest
from drawn_breasts import write_rsna_layout

from model.classify import Classifier
from training.cli import main

CONFIG = """
data_set = "rsna"
start_weights = "none"
start_weights_origin = "random, seeded"
input_size_px = [64, 48]
crop_size_px = [80, 60]
batch_size = 8
sampling = "balanced"
adaptation_batches = 4

[[stages]]
trains = "head"
epochs = 8
learning_rate = 0.003
averaged_epochs = 3
"""


def test_drawn_breasts_become_weights_that_a_node_can_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = write_rsna_layout(tmp_path / "rsna", patients=60)
    config = tmp_path / "run.toml"
    config.write_text(CONFIG)
    given = ["--config", str(config), "--data", str(data), "--out", str(tmp_path / "run")]
    said = {}

    for command, *more in (["fit"], ["evaluate"], ["export", "--to", str(tmp_path / "weights")]):
        monkeypatch.setattr("sys.argv", ["training", command, *given, *more])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, capsys.readouterr().err
        said[command] = capsys.readouterr().out

    assert "validation image AUC" in said["fit"]
    classifier = Classifier.load(tmp_path / "weights")
    assert classifier.manifest.input_size_px == (64, 48)
    assert classifier.manifest.figures is not None
    assert classifier.manifest.version in said["export"]
