"""`python -m flows`: the same command as `trendbreak`."""

from flows.cli import main

main()
