from pathlib import Path

import keras
import numpy as np
import pytest

from model.network import build
from training.candidates import (
    average_weights,
    choose,
    load_weights,
    read_choice,
    save_weights,
    write_choice,
)

SIZE_PX = (64, 48)


def filled(model: keras.Model, value: float) -> None:
    softmax = model.get_layer("softmax")
    softmax.set_weights([np.full_like(part, value) for part in softmax.get_weights()])


def kernel_of(model: keras.Model) -> float:
    return float(model.get_layer("softmax").get_weights()[0].mean())


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build(SIZE_PX)


@pytest.fixture
def files(model: keras.Model, tmp_path: Path) -> list[Path]:
    """Two candidates, whose softmax is all 1 and all 3."""
    files = [tmp_path / f"{number}.weights.h5" for number in (1, 3)]
    for file, value in zip(files, (1.0, 3.0), strict=True):
        filled(model, value)
        save_weights(model, file)
    return files


def test_an_average_of_weights_lies_between_them(model: keras.Model, files: list[Path]) -> None:
    average_weights(model, files)

    assert kernel_of(model) == pytest.approx(2.0)


def test_the_candidate_with_the_best_figure_is_chosen(
    model: keras.Model, files: list[Path]
) -> None:
    measured = {"epoch 1": (files[0], 0.7), "epoch 2": (files[1], 0.6)}

    choice = choose(model, measured, files, measure=lambda _: 0.65)

    assert choice.candidate == "epoch 1"
    assert choice.candidates == {
        "epoch 1": 0.7, "epoch 2": 0.6, "average of the last 2 epochs": 0.65,
    }  # fmt: skip
    assert kernel_of(model) == pytest.approx(1.0)


def test_the_average_is_chosen_where_it_is_better(model: keras.Model, files: list[Path]) -> None:
    measured = {"epoch 1": (files[0], 0.7), "epoch 2": (files[1], 0.6)}

    choice = choose(model, measured, files, measure=lambda _: 0.75)

    assert choice.candidate == "average of the last 2 epochs"
    assert kernel_of(model) == pytest.approx(2.0)


def test_one_epoch_alone_is_not_averaged(model: keras.Model, files: list[Path]) -> None:
    choice = choose(model, {"epoch 1": (files[0], 0.7)}, files[:1], measure=lambda _: 1.0)

    assert set(choice.candidates) == {"epoch 1"}


def test_weights_are_kept_without_the_optimizer_and_load_into_a_compiled_network(
    model: keras.Model, tmp_path: Path
) -> None:
    bare, compiled = tmp_path / "bare.weights.h5", build(SIZE_PX)
    compiled.compile(optimizer="adam", loss="categorical_crossentropy")
    compiled.optimizer.build(compiled.trainable_variables)
    filled(compiled, 5.0)
    save_weights(compiled, bare)

    model.load_weights(bare)
    filled(compiled, 0.0)
    load_weights(compiled, bare)

    assert kernel_of(model) == kernel_of(compiled) == pytest.approx(5.0)
    # Six million weights of four bytes; Adam has two more numbers for each.
    assert bare.stat().st_size < 30_000_000


def test_a_choice_is_read_as_it_was_written(
    model: keras.Model, files: list[Path], tmp_path: Path
) -> None:
    choice = choose(model, {"epoch 1": (files[0], 0.7)}, [], measure=lambda _: 1.0)

    write_choice(choice, tmp_path)

    assert read_choice(tmp_path) == choice
    assert read_choice(tmp_path / "elsewhere") is None
