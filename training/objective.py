"""What a stage minimises, and by which steps."""

import keras

from training.settings import Stage, TrainingSettings

_LEAST_SHARE = 0.01
"""Of the learning rate: where warm-up begins and the cosine ends."""


def compile_for(
    model: keras.Model, stage: Stage, settings: TrainingSettings, *, steps_in_epoch: int
) -> None:
    """Compile a network for a stage.

    Parameters
    ----------
    model
        Frozen as the stage wants it.
    stage
        Its learning rate.
    settings
        Loss and optimizer.
    steps_in_epoch
        Batches.
    """
    model.compile(
        optimizer=_optimizer(stage, settings, steps_in_epoch),
        loss=_loss(settings),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        # XLA is six times slower than plain TensorFlow for this network on a CPU.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    model.optimizer.build(model.trainable_variables)


def _loss(settings: TrainingSettings) -> keras.losses.Loss:
    """Cross-entropy or focal loss, with smoothed labels.

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017; without its factor alpha, so that
    a gamma of 0 is cross-entropy.
    """
    if settings.loss == "focal":
        return keras.losses.CategoricalFocalCrossentropy(
            alpha=1.0, gamma=settings.focal_gamma, label_smoothing=settings.label_smoothing
        )
    return keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)


def _optimizer(
    stage: Stage, settings: TrainingSettings, steps_in_epoch: int
) -> keras.optimizers.Optimizer:
    """Adam or AdamW; with a moving average of the weights where one is wanted."""
    averaging = {"use_ema": settings.ema_momentum > 0, "ema_momentum": settings.ema_momentum}
    learning_rate = _learning_rate(stage, steps_in_epoch)
    if settings.optimizer == "adamw":
        return keras.optimizers.AdamW(
            learning_rate, weight_decay=settings.weight_decay, **averaging
        )
    return keras.optimizers.Adam(learning_rate, **averaging)


def _learning_rate(
    stage: Stage, steps_in_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Give a fixed one, that a plateau lowers; or a cosine with warm-up."""
    if stage.schedule == "plateau":
        return stage.learning_rate
    warm_up_steps = round(stage.warm_up_epochs * steps_in_epoch)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=stage.learning_rate * (_LEAST_SHARE if warm_up_steps else 1.0),
        decay_steps=max(1, stage.epochs * steps_in_epoch - warm_up_steps),
        alpha=_LEAST_SHARE,
        warmup_target=stage.learning_rate if warm_up_steps else None,
        warmup_steps=warm_up_steps,
    )
