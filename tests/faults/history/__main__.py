"""Storm after storm until so many answers were checked: ``python -m tests.faults.history --answers 1000000``."""

from __future__ import annotations

import argparse
import sys
import time

from tests.faults.history.runs import FULL, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.history", description=__doc__)
    parser.add_argument("--answers", type=int, default=1_000_000, help="so many at least")
    parser.add_argument("--storms", type=int, default=8, help="so many at least")
    parser.add_argument("--seed", type=int, default=1, help="of the first storm; each has the next one")
    asked = parser.parse_args()
    began, answers, storms, failed = time.monotonic(), 0, 0, 0
    while answers < asked.answers or storms < asked.storms:
        verdict = run(FULL, asked.seed + storms)
        storms, answers, failed = storms + 1, answers + verdict.answers, failed + bool(verdict.wrong)
        _say(f"storm {verdict.schedule.seed}: {verdict.noted}: {verdict.outcome.told()}", *verdict.wrong)
        _say(f"{answers} answers in {storms} storms and {time.monotonic() - began:.0f} s, {failed} storms failed")
    return min(1, failed)


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
