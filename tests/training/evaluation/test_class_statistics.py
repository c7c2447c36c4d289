"""Figures of three classes are what scikit-learn says of the rows drawn."""

import numpy as np
import pytest
from sklearn import metrics

from training.evaluation import class_statistics
from training.evaluation.class_statistics import ClassSample

RNG = np.random.default_rng(4)
TRUTH = RNG.integers(0, 3, 200)
LOGITS = RNG.normal(0, 1, (200, 3)) + np.eye(3)[TRUTH]
OUTPUTS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
DRAWS = np.concatenate([np.ones((1, 200)), RNG.multinomial(200, np.full(200, 1 / 200), size=4)])
SAMPLE = ClassSample(outputs=OUTPUTS, truth=TRUTH, weights=DRAWS)


@pytest.mark.parametrize("draw", range(len(DRAWS)))
def test_each_class_counts_as_much_as_the_others(draw: int) -> None:
    rows = np.repeat(np.arange(200), DRAWS[draw].astype(int))
    truth, outputs = TRUTH[rows], OUTPUTS[rows]
    said = outputs.argmax(axis=1)

    assert SAMPLE.confusion[draw].tolist() == metrics.confusion_matrix(truth, said).tolist()
    for statistic, expected in (
        (class_statistics.class_accuracy, metrics.accuracy_score(truth, said)),
        (class_statistics.macro_precision, metrics.precision_score(truth, said, average="macro")),
        (class_statistics.macro_recall, metrics.recall_score(truth, said, average="macro")),
        (class_statistics.macro_f1, metrics.f1_score(truth, said, average="macro")),
        (class_statistics.macro_auc, metrics.roc_auc_score(truth, outputs, multi_class="ovr")),
    ):
        assert statistic(SAMPLE)[draw] == pytest.approx(expected)


def test_a_class_that_was_not_drawn_has_no_recall() -> None:
    weights = np.array([(TRUTH > 0).astype(np.float64)])
    sample = ClassSample(outputs=OUTPUTS, truth=TRUTH, weights=weights)

    assert np.isnan(class_statistics.macro_recall(sample)).all()
    assert np.isnan(class_statistics.macro_auc(sample)).all()
