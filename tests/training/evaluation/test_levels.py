import numpy as np
from score_tables import RULES, drawn_table

from training.evaluation.levels import LevelName, levels


def test_views_become_breasts_and_breasts_become_patients_by_the_rules() -> None:
    table = drawn_table(patients=3)

    by_image, by_breast, by_patient = levels(table, RULES)

    scores = table.scores.reshape(3, 2, 2)
    assert [level.name for level in (by_image, by_breast, by_patient)] == list(LevelName)
    np.testing.assert_allclose(by_breast.scores, scores.mean(axis=2).ravel())
    np.testing.assert_allclose(by_patient.scores, scores.mean(axis=2).max(axis=1))
    assert by_breast.patient_ids == ("0", "0", "1", "1", "2", "2")
    assert by_breast.is_cancer.tolist() == [True, False, False, False, False, False]
    assert by_patient.is_cancer.tolist() == [True, False, False]


def test_a_patient_is_as_grave_as_her_gravest_image() -> None:
    table = drawn_table(patients=6, classes=3)

    _, _, by_patient = levels(table, RULES)

    places = [table.classes.index(label) for label in table.labels]
    assert by_patient.truth is not None
    assert by_patient.truth.tolist() == np.array(places).reshape(6, 4).max(axis=1).tolist()
    np.testing.assert_allclose(by_patient.outputs.sum(axis=1), 1.0)


def test_labels_that_are_none_of_the_classes_have_no_place_among_them() -> None:
    assert levels(drawn_table(classes=2), RULES)[0].truth is None
