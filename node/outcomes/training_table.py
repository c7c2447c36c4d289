"""Writes what is linked as a table that ``python -m training`` reads as the data set `outcomes`.

One row an image that was analysed, with what became known of its breast. The patient is a random
pseudonym, the same in every export, so that a patient stays in its split; nothing of the Patient ID
is in it. The paths hold UIDs, as those of the data folder do.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from node.errors import PermanentError
from node.outcomes.link import LinkedBreast, Links, link
from node.settings import Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.outcomes import read_outcomes, read_studies
from node.study_log.study_filter import StudyFilter
from node.study_log.tables import Instance, InstanceOutcome, OutcomeResult
from node.whole_file import make_folder, write_whole

COLUMNS = (
    "path",
    "patient",
    "study",
    "laterality",
    "view_position",
    "label",
    "source",
    "days_after",
)
_LABELS = {
    OutcomeResult.MALIGNANT: "malignant",
    OutcomeResult.BENIGN: "benign",
    # Follow-up says that there was no cancer, and not whether there was anything else.
    OutcomeResult.NEGATIVE: "no_cancer",
}
_STUDIES_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Attributes
    ----------
    without_file
        Images whose file is not there any more: they are left out.
    """

    images: int
    cancers: int
    breasts: int
    patients: int
    conflicts: int
    without_file: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    revision_id: int
    laterality: str
    view_position: str
    path: str
    is_here: bool


def export_table(database: Database, settings: Settings, which: StudyFilter, out: Path) -> Exported:
    """Write the linked breasts of analysed studies.

    Parameters
    ----------
    database
        The study log.
    settings
        Where the images lie, and the windows of days.
    which
        The studies that are meant.
    out
        The file; it is replaced, whole or not at all.

    Raises
    ------
    PermanentError
        If there is nothing to write.
    TransientError
        If the file cannot be written.
    """
    store = Store(settings.data_dir)
    with database.reading() as session:
        links = link(read_outcomes(session), read_studies(session), settings.outcomes)
        meant = {study.id for study in read_studies(session, which)}
        breasts = [
            breast
            for study in links.studies
            if study.study.id in meant
            for breast in study.breasts
            if breast.result is not None
        ]
        revisions = {breast.study.revision_id for breast in breasts}
        statement = (
            select(
                InstanceOutcome.revision_id,
                Instance.laterality,
                Instance.view_position,
                Instance.path,
                Instance.removed_at.is_(None),
            )
            .join(Instance, Instance.id == InstanceOutcome.instance_id)
            .where(InstanceOutcome.score.is_not(None), Instance.laterality.is_not(None))
            .order_by(Instance.id)
        )
        images: dict[tuple[int, str], list[_Image]] = {}
        for part in _parts(sorted(number for number in revisions if number is not None)):
            for row in session.execute(statement.where(InstanceOutcome.revision_id.in_(part))):
                image = _Image(
                    revision_id=row[0],
                    laterality=row[1] or "",
                    view_position=row[2] or "",
                    path=row[3],
                    is_here=bool(row[4]),
                )
                images.setdefault((image.revision_id, image.laterality), []).append(image)
    pseudonyms = _pseudonyms(links)
    rows = []
    without_file = 0
    for breast in breasts:
        for image in images.get((breast.study.revision_id or 0, breast.laterality), ()):
            if not image.is_here:
                without_file += 1
                continue
            rows.append(_row(breast, image, pseudonyms[breast.study.patient_id], store))
    if not rows:
        raise PermanentError(
            reason="No image here has a known outcome: nothing was written. "
            "`mammonode outcomes list` says which outcomes are about no study, and why."
        )
    make_folder(out.parent)
    write_whole(out, _as_csv(rows))
    return Exported(
        images=len(rows),
        cancers=sum(row["label"] == "malignant" for row in rows),
        breasts=len({(row["study"], row["laterality"]) for row in rows}),
        patients=len({row["patient"] for row in rows}),
        conflicts=sum(breast.study.id in meant for breast in links.conflicts),
        without_file=without_file,
    )


def _pseudonyms(links: Links) -> dict[str, str]:
    """Give the pseudonym of each patient by Patient ID.

    Two patients to whom two issuers gave the same one share it: then both are in the same split.
    """
    return {
        outcome.patient_id: outcome.pseudonym
        for study in links.studies
        for breast in study.breasts
        for outcome in breast.outcomes
    }


def _row(breast: LinkedBreast, image: _Image, pseudonym: str, store: Store) -> dict[str, str]:
    study, result, outcome = breast.study, breast.result, breast.deciding[0]
    days = (outcome.date - study.study_date).days if study.study_date is not None else ""
    return {
        "path": str(store.path(image.path)),
        "patient": pseudonym,
        "study": str(study.id),
        "laterality": breast.laterality,
        "view_position": image.view_position,
        "label": "" if result is None else _LABELS[result],
        "source": outcome.source.value,
        "days_after": str(days),
    }


def _parts(numbers: list[int]) -> Iterator[list[int]]:
    for begin in range(0, len(numbers), _STUDIES_AT_ONCE):
        yield numbers[begin : begin + _STUDIES_AT_ONCE]


def _as_csv(rows: Iterable[Mapping[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
