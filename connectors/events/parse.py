"""A landed projection → scans of it in place: all telemetry is landed in one shape."""

from __future__ import annotations

from connectors.calls.landed import parse_files

__all__ = ["parse_files"]
