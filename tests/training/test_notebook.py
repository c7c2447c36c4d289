from pathlib import Path

import nbclient
import nbformat
import pytest
from drawn_breasts import write_rsna_layout

NOTEBOOK = Path(__file__).parents[2] / "training" / "breast_cancer_training.ipynb"

TINY = """
from training.settings import Stage, TrainingSettings

settings = TrainingSettings(
    data_set="rsna",
    data_folder=Path("rsna"),
    out_folder=Path("run"),
    start_weights="none",
    start_weights_origin="random, seeded",
    input_size_px=(64, 48),
    crop_size_px=(80, 60),
    batch_size=8,
    sampling="balanced",
    adaptation_batches=4,
    stages=(Stage(trains="head", epochs=8, learning_rate=3e-3, averaged_epochs=3),),
)
"""


def test_a_notebook_is_kept_without_what_it_printed() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_notebook_runs_from_data_to_exported_weights_and_a_heat_map(tmp_path: Path) -> None:
    write_rsna_layout(tmp_path / "rsna", patients=60)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = [
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])
    ]
    parameters.source = TINY

    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()

    assert (tmp_path / "run" / "weights" / "manifest.json").is_file()
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3
    text = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "validation image AUC" in text
    assert "image_auc" in text
