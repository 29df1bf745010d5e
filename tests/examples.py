"""How many examples a property is tried on: few in `make test`, ten times as many in `make test-long`."""

import os

TIMES = int(os.environ.get("TRENDBREAK_EXAMPLES", "1"))


def examples(few: int) -> int:
    return few * TIMES
