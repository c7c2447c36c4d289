from pathlib import Path

import numpy as np
import pytest
from drawn_breasts import write_rsna_layout

from training.datasets import rsna


def test_every_row_becomes_an_image_with_its_label(tmp_path: Path) -> None:
    data_set = rsna.read(write_rsna_layout(tmp_path / "rsna", patients=3))

    assert len(data_set.images) == 12
    assert sum(image.is_cancer for image in data_set.images) == 2
    assert {image.patient_id for image in data_set.images} == {"0", "1", "2"}
    assert all(image.path.exists() for image in data_set.images)


def test_an_inverted_image_reads_with_black_air(tmp_path: Path) -> None:
    data_set = rsna.read(write_rsna_layout(tmp_path / "rsna", patients=1))
    inverted = next(image for image in data_set.images if image.is_inverted)

    display = data_set.read_display(inverted)

    assert display.dtype == np.float32
    assert display[:5].max() < 0.05
    assert 0.3 < display.max() <= 1.0


def test_the_square_is_brought_back_to_a_breasts_aspect_ratio(tmp_path: Path) -> None:
    data_set = rsna.read(write_rsna_layout(tmp_path / "rsna", patients=1))

    rows, columns = data_set.read_display(data_set.images[0]).shape

    assert rows / columns == pytest.approx(1.25, rel=0.01)


@pytest.mark.parametrize("row", ["images/1.webp,1,unsure,0", "images/1.webp,1,cancer,maybe"])
def test_a_label_that_the_layout_does_not_know_is_an_error_with_its_line(
    tmp_path: Path, row: str
) -> None:
    table = f"image,patient_id,label,looks_inverted\nimages/0.webp,0,cancer,0\n{row}\n"
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")

    with pytest.raises(ValueError, match="line 3"):
        rsna.read(tmp_path)


def test_a_missing_image_is_an_error(tmp_path: Path) -> None:
    data_set = rsna.read(write_rsna_layout(tmp_path / "rsna", patients=1))
    data_set.images[0].path.unlink()

    with pytest.raises(ValueError, match="readable"):
        data_set.read_display(data_set.images[0])
