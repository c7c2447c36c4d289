"""Analyses what was found and writes the result objects, study by study."""

import io
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import dcmwrite

from node.analysis.sources import SourceInstance
from node.errors import PermanentError
from node.predict import document
from node.predict.find import Found, FoundStudy
from node.report.write import write_results
from node.result_kinds import ResultKind
from node.results import StudyResult
from node.settings import Settings
from node.whole_file import make_folder, write_whole

if TYPE_CHECKING:
    from node.analysis.pipeline import Analyser

RESULT_FILE = "result.json"


def predict(
    found: Found,
    out: Path,
    *,
    kinds: Collection[ResultKind],
    settings: Settings,
    on_image: Callable[[], None] = lambda: None,
) -> document.Document:
    """Analyse every study and write its objects, then ``result.json`` for all of them.

    Running it again on the same files writes the same bytes. No socket is opened, and nothing but
    `out` is written to.

    Parameters
    ----------
    found
        The studies.
    out
        Folder for ``<Study Instance UID>/<kind>_<number>.dcm`` and ``result.json``; made if it is
        not there. Files of the same names are replaced.
    kinds
        What is written.
    settings
        The weights, the prevalence and the limits of decoding.
    on_image
        Called after each image is read; from several threads.

    Returns
    -------
    document
        What ``result.json`` holds.

    Raises
    ------
    WeightsError
        If the weights cannot be used.
    PermanentError
        If there is no study, or `out` cannot be written to.
    TransientError
        If the disk is full, or no decoding process can be started.
    """
    if not found.studies:
        raise PermanentError(reason="Expected DICOM images, found none")
    make_folder(out)
    from node.analysis.pipeline import Analyser  # late: it loads TensorFlow

    model: document.Document = {}
    studies: list[document.Document] = []
    with Analyser.load(settings) as analyser:
        for study in found.studies:
            result = _analyse(study, analyser, on_image)
            # Of each study only words stay in memory, not its pictures.
            model = document.describe_model(result)
            studies.append(document.describe_study(result, _write_objects(result, kinds, out)))
    described = document.describe(found, model=model, studies=studies)
    write_whole(out / RESULT_FILE, document.to_json(described).encode())
    return described


def _analyse(study: FoundStudy, analyser: "Analyser", on_image: Callable[[], None]) -> StudyResult:
    return analyser.analyse(
        study_instance_uid=study.study_instance_uid,
        revision=1,
        closed_at=study.closed_at,
        sources=[
            SourceInstance(
                path=instance.path,
                dataset_sha256=instance.dataset_sha256,
                triage_reason=instance.triage_reason,
                triage_detail=instance.triage_detail,
            )
            for instance in study.instances
        ],
        on_image=on_image,
    )


def _write_objects(
    result: StudyResult, kinds: Collection[ResultKind], out: Path
) -> list[document.Document]:
    """Write the objects of one study, and describe each."""
    folder = result.study_instance_uid
    make_folder(out / folder)
    described = []
    for made in write_results(result, kinds):
        name = f"{folder}/{made.kind}_{made.index + 1}.dcm"
        buffer = io.BytesIO()
        dcmwrite(buffer, made.dataset, enforce_file_format=True)
        write_whole(out / name, buffer.getvalue())
        described.append(document.describe_object(made, name))
    return described
