from pathlib import Path

import pytest
from pydicom import dcmread

from model.views import STANDARD_VIEWS, Laterality, read_view
from node.demo.films import TRUTH, find_films, regroup
from node.errors import PermanentError
from phantoms import film, write


def films_as_delivered(folder: Path, number: str, *, seed: int = 0) -> list[Path]:
    """Write four films as the package has them: each a patient and a study of its own."""
    names = {"R": "RIGHT", "L": "LEFT"}
    return [
        write(
            film(
                laterality=side,
                view_position=view,
                seed=seed,
                PatientID=f"Mass-Test_{number}_{names[side]}_{view}",
                PatientName=f"Mass-Test_{number}_{names[side]}_{view}",
            ),
            folder,
        )
        for side, view in STANDARD_VIEWS
    ]


def test_four_films_of_one_number_become_one_study_of_one_patient(tmp_path: Path) -> None:
    paths = films_as_delivered(tmp_path / "delivered", "P_00173")

    (study,) = regroup(paths, tmp_path / "films")

    sent = [dcmread(one.path) for one in study.films]
    assert {ds.StudyInstanceUID for ds in sent} == {study.study_instance_uid}
    assert {ds.PatientID for ds in sent} == {str(ds.PatientName) for ds in sent} == {"P_00173"}
    assert len({(ds.StudyDate, ds.StudyTime) for ds in sent}) == 1


def test_view_and_side_are_what_the_film_says(tmp_path: Path) -> None:
    paths = films_as_delivered(tmp_path / "delivered", "P_00173")

    (study,) = regroup(paths, tmp_path / "films")

    views = [read_view(dcmread(one.path)) for one in study.films]
    assert [(one.laterality, one.view_position) for one in views] == list(STANDARD_VIEWS)
    assert [(one.laterality, one.view_position) for one in study.films] == list(STANDARD_VIEWS)


def test_pixels_are_not_touched(tmp_path: Path) -> None:
    paths = films_as_delivered(tmp_path / "delivered", "P_00173")
    delivered = {ds.SOPInstanceUID: ds for ds in map(dcmread, paths)}

    (study,) = regroup(paths, tmp_path / "films")

    for one in study.films:
        ds = dcmread(one.path)
        before = delivered[ds.SOPInstanceUID]
        assert ds.PixelData == before.PixelData
        assert ds.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID


def test_studies_are_told_apart_and_keep_their_uids_from_run_to_run(tmp_path: Path) -> None:
    paths = [
        *films_as_delivered(tmp_path / "delivered", "P_00820", seed=1),
        *films_as_delivered(tmp_path / "delivered", "P_00173", seed=2),
    ]

    first = regroup(paths, tmp_path / "first")
    second = regroup(paths[::-1], tmp_path / "second")

    uids = [study.study_instance_uid for study in first]
    assert [study.number for study in first] == ["P_00173", "P_00820"]
    assert len(set(uids)) == 2
    assert uids == [study.study_instance_uid for study in second]


def test_a_missing_view_is_named(tmp_path: Path) -> None:
    paths = films_as_delivered(tmp_path / "delivered", "P_00173")

    with pytest.raises(PermanentError, match="L MLO"):
        regroup(paths[:-1], tmp_path / "films")


def test_a_film_that_does_not_say_its_side_is_named(tmp_path: Path) -> None:
    path = write(film(PatientID="P_00173", Laterality="B"), tmp_path)

    with pytest.raises(PermanentError, match="Laterality 'B'"):
        regroup([path], tmp_path / "films")


def test_without_the_films_the_extra_to_install_is_named() -> None:
    with pytest.raises(PermanentError, match=r"mammonode\[demo\]"):
        find_films("no_such_package_of_films")


def test_every_breast_of_the_real_films_has_its_truth(tmp_path: Path) -> None:
    studies = regroup(find_films(), tmp_path)

    breasts = {(study.number, side) for study in studies for side in Laterality}
    assert breasts == set(TRUTH)
