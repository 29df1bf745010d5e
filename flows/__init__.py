"""The composition root: settings, the steps of a run, Prefect, and the command line."""
