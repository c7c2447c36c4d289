"""An hour of studies with a PACS that fails a third of the time: all arrives, and nothing grows.

    PYTHONPATH=tests python -m reliability.soak --minutes 60

A real node gets one study after the other and sends its results to a PACS that is, for one
association in three, in a mood: it rejects it, answers 0xA700, aborts in place of an answer, falls
silent, is slow, or closes after each answer. Memory, threads and file descriptors of every process
are looked at every few seconds. A finding is: something that was not delivered, or was acknowledged
and sent again, a process that died or complained, something that grew, or what
`reliability.steady_stream` finds.

What grows is seen by comparing medians of the two halves of the time after the warm-up, which is a
sixth of the whole; `GROWTH` says what is too much.
"""

import argparse
import contextlib
import csv
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import dedent

from node.study_log.tables import DeliveryState, StudyState
from peers import LoopbackPACS, Mood, loopback_pacs
from reliability.node_watch import (
    MIB,
    children_of,
    complaints,
    descendants_of,
    descriptor_count,
    memory_bytes,
    rows,
    thread_count,
)
from reliability.steady_stream import Account, Stream, examine, let_it_end
from serving import RunningNode, delivering_settings, running_node

BAD_MOODS = tuple(mood for mood in Mood if mood is not Mood.WELL)
BAD_SHARE = 1 / 3
LONGEST_GOOD_START = 3
SAMPLE_S = 5.0
TOLD_S = 60.0
WARM_UP = 1 / 6
FEWEST_SAMPLES = 8
"""In each half; with fewer nothing is said of growth."""
PATIENCE = """
    [delivery]
    max_attempts = 1000
    first_retry_s = 1
    longest_retry_s = 5
    dimse_timeout_s = 10
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """By how much a median may be higher in the second half: the larger of two."""

    amount: float
    share: float

    def allows(self, first: float, second: float) -> bool:
        """Whether the second median is no growth."""
        return second - first <= max(self.amount, self.share * first)


GROWTH = {
    "memory_mib": Bound(amount=8, share=0.02),
    "threads": Bound(amount=2, share=0),
    "descriptors": Bound(amount=4, share=0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one role took at one moment; the processes that decode are counted together."""

    at_s: float
    role: str
    memory_mib: float
    threads: int
    descriptors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How one figure of one role went.

    Attributes
    ----------
    start
        The first sample.
    first, second
        Medians of the two halves after the warm-up.
    per_hour
        Slope of the second half by least squares.
    highest
        Of all samples.
    """

    role: str
    figure: str
    start: float
    first: float
    second: float
    per_hour: float
    highest: float

    @property
    def has_grown(self) -> bool:
        """Whether it is higher in the second half than `GROWTH` allows."""
        return not GROWTH[self.figure].allows(self.first, self.second)


@dataclass(slots=True, kw_only=True)
class Outcome(Account):
    """What came of a run."""

    seconds: float = 0.0
    moods: dict[Mood, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    courses: list[Course] = field(default_factory=list)


class Watch:
    """Looks at every process of a node, in a thread of its own, for the length of a block."""

    def __init__(self, node: RunningNode, pacs: LoopbackPACS, outcome: Outcome, period_s: float):
        self._node = node
        self._pacs = pacs
        self._outcome = outcome
        self._period_s = period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self._begun_at_s = time.monotonic()
        self.family: set[int] = set()

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        told_at_s = 0.0
        while not self._stop.wait(self._period_s):
            at_s = time.monotonic() - self._begun_at_s
            now = self._look(at_s)
            self._outcome.samples += now
            if at_s - told_at_s >= TOLD_S:
                told_at_s = at_s
                self._tell(now)

    def _look(self, at_s: float) -> list[Sample]:
        supervisor = self._node.process.pid
        descendants = set(descendants_of(supervisor))
        self.family.update(descendants, [supervisor])
        pids = {"supervisor": {supervisor}}
        for role in ("receive", "work"):
            pids[role] = set(children_of(supervisor, role))
        pids["decoding"] = descendants - pids["receive"] - pids["work"]
        samples = []
        for role, members in pids.items():
            # One that ends while it is looked at gives no sample, rather than half of one.
            with contextlib.suppress(OSError):
                samples.append(
                    Sample(
                        at_s=at_s,
                        role=role,
                        memory_mib=sum(map(memory_bytes, members)) / MIB,
                        threads=sum(map(thread_count, members)),
                        descriptors=sum(map(descriptor_count, members)),
                    )
                )
        return samples

    def _tell(self, samples: list[Sample]) -> None:
        ((studies, waiting),) = rows(
            self._node.data_dir,
            "SELECT (SELECT count(*) FROM study), "
            f"(SELECT count(*) FROM delivery WHERE state <> '{DeliveryState.COMPLETED}')",
        )
        figures = "; ".join(
            f"{each.role} {each.memory_mib:.0f} MiB {each.threads} th {each.descriptors} fd"
            for each in samples
        )
        print(
            f"{samples[0].at_s:6.0f} s: {studies} studies, {waiting} deliveries open, "
            f"{len(self._pacs.requests)} objects answered; {figures}",
            flush=True,
        )


def moods(seed: int) -> Iterator[tuple[Mood, int]]:
    """Give the mood of one association after the other, each with how long it starts well."""
    rng = random.Random(seed)
    while True:
        is_bad = rng.random() < BAD_SHARE
        mood = rng.choice(BAD_MOODS) if is_bad else Mood.WELL
        yield mood, rng.randint(0, LONGEST_GOOD_START)


def soak(
    folder: Path,
    *,
    seconds: float,
    seed: int,
    weights: Path,
    pause_s: float,
    period_s: float = SAMPLE_S,
) -> Outcome:
    """Run a node in a folder under a stream of studies, and look at it all the while.

    Parameters
    ----------
    seconds
        How long studies come; what was begun ends afterwards.
    seed
        Decides the studies and the moods of the PACS.
    weights
        Folder of the weights.
    pause_s
        Between two studies.
    period_s
        Between two looks.
    """
    outcome = Outcome()
    begun_at_s = time.monotonic()
    with loopback_pacs() as pacs:
        pacs.moods = moods(seed)
        pacs.keeps_received = False
        settings = dedent(
            delivering_settings(weights=weights, pacs_ae_title="PACS", pacs_port=pacs.port)
        ) + dedent(PATIENCE)
        stream = Stream(folder / "data", first_seed=seed * 1000, pause_s=pause_s, account=outcome)
        with running_node(folder, settings) as node:
            first_pids = _role_pids(node)
            with Watch(node, pacs, outcome, period_s) as watch:
                stream.start()
                try:
                    time.sleep(seconds)
                finally:
                    stream.stop()
            let_it_end(node.data_dir, stream.count, outcome)
            if _role_pids(node) != first_pids:
                outcome.findings.append("a role is not the process that it was at first")
    outcome.seconds = time.monotonic() - begun_at_s
    outcome.moods = dict(pacs.mood_counts)
    examine(folder / "data", pacs, watch.family, outcome)
    outcome.findings += [
        f"{count} studies are {state}"
        for state, count in outcome.studies.items()
        if state != StudyState.COMPLETED
    ]
    if outcome.delivered_again:
        outcome.findings.append(f"{outcome.delivered_again} acknowledged results were sent again")
    outcome.findings += complaints(node.log_file)
    outcome.courses = courses(outcome.samples)
    outcome.findings += [
        f"{each.figure} of {each.role} grew from {each.first:.1f} to {each.second:.1f}"
        for each in outcome.courses
        if each.has_grown
    ]
    return outcome


def _role_pids(node: RunningNode) -> dict[str, list[int]]:
    return {role: children_of(node.process.pid, role) for role in ("receive", "work")}


def courses(samples: list[Sample]) -> list[Course]:
    """Compare the two halves after the warm-up, for each figure of each role."""
    found = []
    end_s = max((each.at_s for each in samples), default=0.0)
    warm_s = WARM_UP * end_s
    middle_s = (warm_s + end_s) / 2
    for role in dict.fromkeys(each.role for each in samples):
        of_role = [each for each in samples if each.role == role]
        halves = (
            [each for each in of_role if warm_s <= each.at_s < middle_s],
            [each for each in of_role if each.at_s >= middle_s],
        )
        if min(map(len, halves)) < FEWEST_SAMPLES:
            continue
        for figure in GROWTH:
            first, second = ([float(getattr(each, figure)) for each in half] for half in halves)
            times_h = [each.at_s / 3600 for each in halves[1]]
            found.append(
                Course(
                    role=role,
                    figure=figure,
                    start=float(getattr(of_role[0], figure)),
                    first=statistics.median(first),
                    second=statistics.median(second),
                    per_hour=statistics.linear_regression(times_h, second).slope,
                    highest=max(float(getattr(each, figure)) for each in of_role),
                )
            )
    return found


def main() -> int:
    """Soak a node, print the figures, and end with 1 on a finding."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=8.0, help="seconds between two studies")
    parser.add_argument("--folder", type=Path, help="keep data, log and samples there")
    options = parser.parse_args()
    # Read by TensorFlow when it is first imported, here and in the node.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from networks import write_untrained_weights

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        outcome = soak(
            folder,
            seconds=60 * options.minutes,
            seed=options.seed,
            weights=write_untrained_weights(folder / "weights"),
            pause_s=options.pause,
        )
        _write_samples(outcome.samples, folder / "samples.csv")
    for name, value in (
        ("studies", ", ".join(f"{state} {count}" for state, count in outcome.studies.items())),
        ("instances acknowledged", len(outcome.acknowledged)),
        ("associations by mood", ", ".join(f"{k} {v}" for k, v in sorted(outcome.moods.items()))),
        ("results in the PACS", outcome.results),
        ("of them sent again", outcome.delivered_again),
        ("seconds", round(outcome.seconds)),
    ):
        print(f"{name:26} {value}")
    print(f"{'':24} {'start':>8} {'1st half':>8} {'2nd half':>8} {'per hour':>8} {'highest':>8}")
    for each in outcome.courses:
        print(
            f"{each.role:11} {each.figure:12} {each.start:8.1f} {each.first:8.1f} "
            f"{each.second:8.1f} {each.per_hour:+8.1f} {each.highest:8.1f}"
        )
    for finding in outcome.findings:
        print(f"FINDING {finding}")
    return 1 if outcome.findings else 0


def _write_samples(samples: list[Sample], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["at_s", "role", *GROWTH])
        writer.writeheader()
        writer.writerows(asdict(each) for each in samples)


if __name__ == "__main__":
    sys.exit(main())
