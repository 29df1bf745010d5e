"""An invented company's bills, for `trendbreak demo`: no account and no key is needed to see the real flow run."""

from __future__ import annotations

from flows.demo.company import PlantedBreak
from flows.demo.openai_server import OpenAIServer
from flows.demo.world import DemoHomeError, DemoWorld, prepare

__all__ = ["DemoHomeError", "DemoWorld", "OpenAIServer", "PlantedBreak", "prepare"]
