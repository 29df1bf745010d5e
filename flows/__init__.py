"""The composition root: settings, the steps of a run, Prefect, and the command line."""

import os

# Series are short: threads of the linear algebra only wait for each other. Read when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
