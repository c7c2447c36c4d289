from pathlib import Path

import pytest
from data_set_layouts import write_cbis_ddsm
from drawn_breasts import write_rsna_layout

from training.commands.options import data_set_of, settings_of
from training.datasets import Split
from training.datasets.registry import READERS
from training.errors import DataSetError


def test_a_data_set_named_on_the_command_line_lies_in_its_own_folder_by_default() -> None:
    settings = settings_of(None, data_set="mini_mias")

    assert settings.data_folder == READERS["mini_mias"].default_folder


def test_an_image_that_is_missing_stops_a_run_unless_the_settings_allow_it(tmp_path: Path) -> None:
    folder = write_rsna_layout(tmp_path / "rsna", patients=3)
    (folder / "images" / "0_0.webp").unlink()
    strict = settings_of(None, data_set="rsna", data=folder)
    lenient = settings_of(None, ["allows_incomplete=true"], data_set="rsna", data=folder)

    with pytest.raises(DataSetError, match="an image for every label"):
        data_set_of(strict)

    assert len(data_set_of(lenient).images) == 11


def test_a_publishers_split_is_left_behind_where_the_settings_say_so(tmp_path: Path) -> None:
    folder = write_cbis_ddsm(tmp_path / "data")
    kept = settings_of(None, data_set="cbis_ddsm_mass", data=folder)
    own = settings_of(None, ["keeps_published_split=false"], data_set="cbis_ddsm_mass", data=folder)

    assert {image.split for image in data_set_of(kept).images} == {Split.TRAIN, Split.TEST}
    assert {image.split for image in data_set_of(own).images} == {None}


def test_a_folder_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    settings = settings_of(None, data_set="rsna", data=tmp_path / "nowhere")

    with pytest.raises(DataSetError, match=r"nowhere: expected the folder .* --data"):
        data_set_of(settings)
