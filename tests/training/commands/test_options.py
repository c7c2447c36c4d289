from training.commands.options import settings_of
from training.datasets.registry import READERS


def test_a_data_set_named_on_the_command_line_lies_in_its_own_folder_by_default() -> None:
    settings = settings_of(None, data_set="mini_mias")

    assert settings.data_folder == READERS["mini_mias"].default_folder
