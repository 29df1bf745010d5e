"""Scheduled and watched: Prefect's server and its runs, what is due, what died, and the metrics."""
