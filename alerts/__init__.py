"""From series to a message a person acts on: forecast, detect, explain, decide, render, deliver.

Pure but for the sinks in `alerts.slack` and `alerts.sinks`; the clock is always an argument.
"""
