"""Every write, fsync, rename, commit and request of the node, made to fail there or be the last.

    PYTHONPATH=tests python -m reliability.fault_points

First reception (`reliability.reception_points`), then analysis and delivery
(`reliability.analysis_points`). A finding is: an image that was acknowledged and is not there in
full, one that is not taken the second time, a study or delivery that does not come to its end, a
result that the PACS has not or that was sent again after the log had the answer, work that is left
in the queue, a file that no row knows, or something that ``mammonode fsck`` finds.
"""

import argparse
import itertools
import re
import sys
import tempfile
from pathlib import Path

from reliability.analysis_points import all_points_of_analysis
from reliability.fault import Outcome
from reliability.reception_points import all_points_of_reception


def main() -> int:
    """Try every point, print the table, and end with 1 on a finding."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--only", default="", help="points whose name has this expression")
    parser.add_argument("--folder", type=Path, help="keep the data of what was found there")
    options = parser.parse_args()
    from networks import write_untrained_weights  # TensorFlow takes seconds to load

    def is_wanted(point: str) -> bool:
        return re.search(options.only, point) is not None

    has_findings = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        weights = write_untrained_weights(folder / "weights")
        outcomes = itertools.chain(
            all_points_of_reception(folder / "reception", is_wanted),
            all_points_of_analysis(folder / "analysis", weights, is_wanted),
        )
        for each in outcomes:
            _tell(each)
            has_findings |= bool(each.findings)
    return 1 if has_findings else 0


def _tell(outcome: Outcome) -> None:
    print(
        f"{outcome.point:58} {outcome.way:6} {outcome.at_once:11} {outcome.in_the_end}", flush=True
    )
    for finding in outcome.findings:
        print(f"FINDING {finding}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
