"""What each kind of result reads like, word for word: a change to it shows as a change of a text.

The texts in ``golden/`` are what DCMTK reads: of a document dsrdump's tree, with all codes and
whole texts; of anything else dcmdump's list, without pixel data. UIDs are numbered as they come,
and the version of this software is left out: both change with what is installed. After a change
that is meant, write them anew, and read them::

    pytest tests/node/report/test_golden.py --write-golden
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

import phantoms
import study_results
from node import __version__
from node.report.write import write_results
from node.results import ResultKind, StudyResult
from validators import require_peer

GOLDEN = Path(__file__).with_name("golden")

CASES: dict[str, tuple[Callable[[], StudyResult], ResultKind]] = {
    # Two regions in a view, a view below the operating point, a view left out.
    **{str(kind): (study_results.partly_triaged, kind) for kind in ResultKind},
    "score_report-no-image": (study_results.all_triaged, ResultKind.SCORE_REPORT),
    "score_report-failed": (study_results.failed, ResultKind.SCORE_REPORT),
    "cad_report-failed": (study_results.failed, ResultKind.CAD_REPORT),
    "measurement_report-3d": (study_results.for_ai_results, ResultKind.MEASUREMENT_REPORT),
    "score_report-prevalence": (study_results.with_prevalence, ResultKind.SCORE_REPORT),
    "measurement_report-prevalence": (study_results.with_prevalence, ResultKind.MEASUREMENT_REPORT),
    "cad_report-no-image": (study_results.all_triaged, ResultKind.CAD_REPORT),
    "cad_report-no-region": (study_results.normal, ResultKind.CAD_REPORT),
    "cad_report-films": (study_results.films, ResultKind.CAD_REPORT),
    "heat_map-films": (study_results.films, ResultKind.HEAT_MAP),
    "summary_page-no-image": (study_results.all_triaged, ResultKind.SUMMARY_PAGE),
}


def read_by_dcmtk(ds: Dataset, folder: Path) -> str:
    """Give what DCMTK reads in an object, without what depends on what is installed."""
    is_document = ds.Modality in ("SR", "KO")
    path = phantoms.write(ds, folder)
    command: list[str | Path] = (
        [require_peer("dsrdump"), "-q", "+Pl", "+Pc", "+Pt", "+Pu"]
        if is_document
        else [require_peer("dcmdump"), "-q", "-M", "+L"]
    )
    done = subprocess.run([*command, path], capture_output=True, check=True, timeout=60)
    text = done.stdout.decode("utf-8" if ds.SpecificCharacterSet == "ISO_IR 192" else "latin-1")
    if not is_document:
        text = re.sub(r".*(Group ?Length|DelimitationItem)\n", "", text)
        text = re.sub(r" with explicit length", "", text)
        # Length and multiplicity; the length of a UID varies.
        text = re.sub(r" +# *\d+, ?\d+ (\w+)$", r"  \1", text, flags=re.MULTILINE)
    numbers: dict[str, int] = {}
    text = re.sub(
        r"2\.25\.\d+", lambda uid: f"UID-{numbers.setdefault(uid[0], len(numbers) + 1)}", text
    )
    return text.replace("\r\n", "\n").replace(__version__, "VERSION").strip() + "\n"


@pytest.mark.parametrize("name", CASES)
def test_it_reads_as_it_was_approved(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made, kind = CASES[name]
    golden = GOLDEN / f"{name}.txt"

    text = read_by_dcmtk(write_results(made(), [kind])[0].dataset, tmp_path)

    if request.config.getoption("write_golden"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_every_text_is_of_a_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)
