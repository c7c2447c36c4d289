"""A short soak, and what counts as growth; `reliability.soak` is the command for an hour of it."""

from itertools import islice
from pathlib import Path

import pytest

from peers import Mood
from reliability.soak import Sample, courses, moods, soak


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_pacs_that_fails_a_third_of_the_time_has_everything_once_in_the_end(
    tmp_path: Path, untrained_weights: Path
) -> None:
    outcome = soak(tmp_path, seconds=60, seed=2, weights=untrained_weights, pause_s=2, period_s=1)

    # Within a minute buffers and pools still fill: of growth only the hour can tell.
    assert [each for each in outcome.findings if " grew from " not in each] == []
    assert len(outcome.moods) > len(Mood) / 2
    assert {each.role for each in outcome.samples} == {"supervisor", "receive", "work", "decoding"}


def test_the_pacs_fails_a_third_of_the_time_in_every_way() -> None:
    of_many = [mood for mood, _ in islice(moods(1), 3000)]

    assert set(of_many) == set(Mood)
    assert 0.3 < sum(mood is not Mood.WELL for mood in of_many) / len(of_many) < 0.37


def _hour(*, mib_per_hour: float = 0, threads_per_hour: float = 0) -> list[Sample]:
    return [
        Sample(
            at_s=at_s,
            role="receive",
            memory_mib=100 + mib_per_hour * at_s / 3600 + (at_s % 3),
            threads=10 + round(threads_per_hour * at_s / 3600),
            descriptors=20,
        )
        for at_s in range(0, 3600, 5)
    ]


def test_what_goes_up_and_down_has_not_grown() -> None:
    assert not any(each.has_grown for each in courses(_hour()))


def test_a_slow_leak_of_memory_or_threads_is_growth() -> None:
    found = courses(_hour(mib_per_hour=30, threads_per_hour=8))

    assert {each.figure for each in found if each.has_grown} == {"memory_mib", "threads"}
    (memory,) = (each for each in found if each.figure == "memory_mib")
    assert memory.per_hour == pytest.approx(30, abs=1)


def test_what_is_taken_while_it_warms_up_is_no_growth() -> None:
    samples = [each for each in _hour() if each.at_s >= 600]
    cold = [
        Sample(at_s=at_s, role="receive", memory_mib=50, threads=3, descriptors=9)
        for at_s in range(0, 600, 5)
    ]

    assert not any(each.has_grown for each in courses(cold + samples))
