"""The steps of a run as plain functions, and in which order they go (`flows.steps.order`)."""
