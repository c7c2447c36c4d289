"""Which images a run and its stages are trained on, as its settings say."""

from dataclasses import replace
from pathlib import Path

from model.manifest import MANIFEST_FILE, TrainingData, describe_weights
from training.datasets import DataSet, Split
from training.datasets.registry import read_data_set, require_complete
from training.errors import DataSetError
from training.settings import Stage, TrainingSettings
from training.splits import by_split, check_no_leak_between


def data_set_of(settings: TrainingSettings) -> DataSet:
    """Read the data set that the settings name.

    Parameters
    ----------
    settings
        Of the run.

    Returns
    -------
    data_set
        Without its publisher's split where that is not to be kept.

    Raises
    ------
    DataSetError
        If its folder does not hold it, or not all of it.
    """
    if not settings.data_folder.is_dir():
        raise DataSetError(
            where=settings.data_folder,
            expected=f"the folder of the data set {settings.data_set}",
            found="no folder",
            to_do="Name it with --data, and the data set with --data-set; docs/data-sets.md says "
            "where each comes from.",
        )
    return _read(settings.data_set, settings.data_folder, settings)


def data_set_of_stage(stage: Stage, settings: TrainingSettings, data_set: DataSet) -> DataSet:
    """Read the data set that a stage is trained on.

    Parameters
    ----------
    stage
        Names one, or none: then it is the run's.
    settings
        Of the run; what they say of splits and missing images holds for every stage.
    data_set
        The run's own.

    Returns
    -------
    data_set
        Trains on nobody whom the run holds out, as far as patients can be recognised.

    Raises
    ------
    DataSetError
        If its folder does not hold it, or not all of it.
    LeakError
        If it would train on patients whom the run validates or tests on.
    """
    if stage.data_set is None:
        return data_set
    other = _read(stage.data_set, stage.data_folder, settings)
    check_no_leak_between(
        by_split(other.images),
        by_split(data_set.images),
        has_same_patients=is_of_same_patients(other, data_set),
    )
    return other


def is_of_same_patients(one: DataSet | TrainingData, other: DataSet | TrainingData) -> bool:
    """Whether two data sets come from one publication, so that a pseudonym means the same in both.

    Parameters
    ----------
    one, other
        Such as masses and calcifications of CBIS-DDSM, patches of them, or several data sets
        joined. Those that cite nothing are compared by their names.
    """
    if not (one.citation and other.citation):
        return one.name == other.name
    return one.citation in other.citation or other.citation in one.citation


def trained_on(data_set: DataSet, settings: TrainingSettings) -> tuple[TrainingData, ...]:
    """Name all data that a run's weights have learnt from, for their manifest and licence.

    Parameters
    ----------
    data_set
        The run's own.
    settings
        Of the run.

    Returns
    -------
    training_data
        The run's own first, then those of its stages, and those of the weights that it started
        from, where they are a folder with a manifest.

    Raises
    ------
    DataSetError
        If the data set of a stage is not there any more.
    """
    sets = [data_set, *(data_set_of_stage(stage, settings, data_set) for stage in settings.stages)]
    found = [_described(one) for one in sets]
    start = Path(settings.start_weights)
    if (start / MANIFEST_FILE).is_file():
        found += describe_weights(start).training_data
    named: dict[str, TrainingData] = {}
    for part in found:
        named.setdefault(part.name, part)
    return tuple(named.values())


def origin_of_start(settings: TrainingSettings) -> str:
    """Say what a run started from.

    Parameters
    ----------
    settings
        Of the run. Their default is true of ImageNet alone; where it was left as it is, random
        weights and weights with a manifest are named for what they are.
    """
    given = settings.start_weights_origin
    if given != TrainingSettings.model_fields["start_weights_origin"].default:
        return given
    if settings.start_weights == "none":
        return "random weights"
    start = Path(settings.start_weights)
    if (start / MANIFEST_FILE).is_file():
        before = describe_weights(start)
        return f"{before.name} {before.version}, which started from: {before.start_weights}"
    return given


def _read(name: str, folder: Path | None, settings: TrainingSettings) -> DataSet:
    """Read a data set as the settings want it."""
    data_set = read_data_set(name, folder)
    if not settings.allows_incomplete:
        require_complete(data_set)
    if settings.keeps_published_split:
        return data_set
    # Whoever splits the table from here on finds no publisher's split in it.
    return replace(data_set, images=tuple(replace(image, split=None) for image in data_set.images))


def _described(data_set: DataSet) -> TrainingData:
    """Describe the part of a data set that trains."""
    train = by_split(data_set.images)[Split.TRAIN]
    return TrainingData(
        name=data_set.name,
        licence=data_set.licence,
        citation=data_set.citation,
        patients=len({image.patient_id for image in train}),
        images=len(train),
    )
