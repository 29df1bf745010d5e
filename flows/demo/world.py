"""Writes the demo's inputs: bills in the providers' formats, telemetry, trendbreak.yml, features.yml."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from flows.demo import aws_bill, openai_bill, telemetry
from flows.demo.company import (
    AS_OF,
    DAYS,
    LAST_SETTLED,
    NOW,
    START,
    Company,
    GpuFeature,
    LlmFeature,
    PlantedBreak,
    invent,
)
from flows.demo.openai_server import DEMO_ADMIN_KEY, OpenAIServer
from flows.demo.traffic import Floats, Traffic, expected_usd, simulate
from flows.errors import FlowError

_MARK = "# Written by `trendbreak demo`."
_MARKER = ".written-by-trendbreak-demo"  # in the inputs' folder: it may be replaced
_DEFAULT_BASE_URL = "http://127.0.0.1:8765/v1"


class DemoHomeError(FlowError):
    """The folder holds something that the demo did not write, or another seed's demo."""


@dataclass(frozen=True)
class DemoWorld:
    """What `prepare` wrote, and what a run over it should find."""

    home: Path
    seed: int
    company_name: str
    tagline: str
    features: tuple[str, ...]
    as_of: date
    now: datetime
    start: date
    last_settled: date
    planted: tuple[PlantedBreak, ...]
    config_path: Path
    features_path: Path
    openai_answers: Path
    aws_rows: int
    openai_rows: int
    event_lines: int

    def openai_server(self, *, port: int = 0) -> OpenAIServer:
        """The stand-in for OpenAI's API, not started yet; use it as a context manager."""
        return OpenAIServer(self.openai_answers, port=port)

    def connect_openai(self, base_url: str) -> None:
        """Writes trendbreak.yml anew with the address at which the stand-in listens."""
        self.config_path.write_text(_config(self.company_name, base_url), encoding="utf-8")


def prepare(home: Path, seed: int) -> DemoWorld:
    """Writes the world of `seed` under `home`: demo/{aws,openai,events}, trendbreak.yml, features.yml.

    The same seed gives the same bytes and modification times, so a second run finds nothing new.
    Raises DemoHomeError when `home` holds a configuration that is not the demo's, or the data of
    another seed: the two would be added up.
    """
    config_path, features_path = home / "trendbreak.yml", home / "features.yml"
    inputs = home / "demo"
    _refuse_foreign(home, config_path, features_path, inputs, seed)
    company = invent(seed)
    traffic = simulate(company)
    # A demo that was interrupted leaves a folder without world.json; it is written anew as a whole.
    shutil.rmtree(inputs, ignore_errors=True)
    inputs.mkdir(parents=True)
    (inputs / _MARKER).write_text(f"seed {seed}\n", encoding="utf-8")
    aws_rows = aws_bill.write_export(inputs / "aws", company, traffic)
    openai_rows = openai_bill.write_answers(inputs / "openai", company, traffic)
    event_lines = telemetry.write_events(inputs / "events", company, traffic)
    config_path.write_text(_config(company.name, _DEFAULT_BASE_URL), encoding="utf-8")
    features_path.write_text(_features(company, traffic), encoding="utf-8")
    world = DemoWorld(
        home=home,
        seed=seed,
        company_name=company.name,
        tagline=company.tagline,
        features=company.features,
        as_of=AS_OF,
        now=NOW,
        start=START,
        last_settled=LAST_SETTLED,
        planted=company.planted,
        config_path=config_path,
        features_path=features_path,
        openai_answers=inputs / "openai" / "answers.json",
        aws_rows=aws_rows,
        openai_rows=openai_rows,
        event_lines=event_lines,
    )
    (inputs / "world.json").write_text(_story(world), encoding="utf-8")
    for path in sorted(inputs.rglob("*")):
        if path.is_file():
            os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    return world


def _refuse_foreign(home: Path, config_path: Path, features_path: Path, inputs: Path, seed: int) -> None:
    if config_path.exists() and not config_path.read_text(encoding="utf-8").startswith(_MARK):
        raise DemoHomeError(f"{config_path} was not written by the demo — give it another folder with --home")
    if features_path.exists() and not features_path.read_text(encoding="utf-8").startswith(_MARK):
        raise DemoHomeError(f"{features_path} was not written by the demo — give it another folder with --home")
    if inputs.exists() and any(inputs.iterdir()) and not (inputs / _MARKER).exists():
        raise DemoHomeError(f"{inputs} was not written by the demo — give it another folder with --home")
    story = inputs / "world.json"
    if not story.exists():
        return
    known = json.loads(story.read_text(encoding="utf-8")).get("seed")
    if known != seed:
        raise DemoHomeError(
            f"{home} holds the demo of seed {known} — give seed {seed} another folder with --home, or remove this one"
        )


def _story(world: DemoWorld) -> str:
    """What was planted, for people and for scoring; nothing of the pipeline reads it."""
    return json.dumps(
        {
            "seed": world.seed,
            "company": world.company_name,
            "about": world.tagline,
            "features": world.features,
            "days": {"first": str(world.start), "as_of": str(world.as_of), "last_settled": str(world.last_settled)},
            "planted": [
                {
                    "story": planted.story,
                    "node": planted.node,
                    "onset": str(planted.onset),
                    "metric": planted.metric,
                    "note": planted.note,
                }
                for planted in world.planted
            ],
        },
        indent=1,
    )


def _config(organization: str, base_url: str) -> str:
    return f"""{_MARK} Everything it names is invented, and on this machine.
home: .
organization: {organization}
sources:
  - {{name: aws, type: aws_data_exports, location: ./demo/aws/{aws_bill.PREFIX}/{aws_bill.EXPORT}}}
  - {{name: openai, type: openai, admin_key: {DEMO_ADMIN_KEY}, base_url: "{base_url}"}}
  - {{name: calls, type: events, location: ./demo/events, user_hash_key: demo-hash-key-of-no-secret}}
features: features.yml
slack: {{channel: "#ai-costs"}}
backfill_days: {DAYS}
"""


class _Flow(dict[str, Any]):
    """A mapping that YAML writes in one line."""


def _write_flow(dumper: yaml.SafeDumper, data: _Flow) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Flow, _write_flow)


def _features(company: Company, traffic: Traffic) -> str:
    september = slice((date(2026, 9, 1) - START).days, (date(2026, 10, 1) - START).days)
    spend = daily_usd(company, traffic)
    rng = np.random.default_rng([company.seed, 9])
    features: dict[str, Any] = {}
    rules: list[dict[str, Any]] = []
    everyone: tuple[LlmFeature | GpuFeature, ...] = (*company.llm, company.gpu)
    for feature in everyone:
        month = float(spend[feature.slug][september].sum())
        headroom = float(rng.uniform(1.05, 1.2))
        outcomes = feature.archetype.outcomes if isinstance(feature, LlmFeature) else feature.outcomes
        settles = feature.archetype.outcome_settles_days if isinstance(feature, LlmFeature) else 1
        features[feature.slug] = {
            "owner": feature.owner,
            "channel": feature.channel,
            "monthly_budget_usd": int(round(month * headroom, -2)),
            "unit": feature.unit,
            "success": _Flow(outcomes=[outcomes[0]], outcome_settles_days=settles),
        }
        if isinstance(feature, LlmFeature):
            if feature.has_revenue:
                tasks = feature.tasks_per_weekday * 26
                features[feature.slug]["revenue"] = _Flow(per_unit_usd=round(month / tasks * 1.9, 2))
            if feature.project_id is not None:
                rules.append(_openai_rule(feature))
        rules.append(
            {
                "name": f"{feature.slug} by tag",
                "when": _Flow({"provider": "aws", "tag.feature": feature.slug}),
                "feature": feature.slug,
            }
        )
    rules.append(
        {
            "name": "everything on AWS that is not AI",
            "priority": 900,
            "when": _Flow(provider="aws", ai_kind="other"),
            "feature": "shared: platform",
        }
    )
    text = yaml.dump(
        {"version": 1, "features": features, "rules": rules},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=120,
    )
    return f"{_MARK} Who owns what at {company.name}, and which charges are whose.\n{text}"


def _openai_rule(feature: LlmFeature) -> dict[str, Any]:
    when: Mapping[str, Any] = {"provider": "openai", "sub_account_id": feature.project_id}
    if feature.by_key:
        # Two features share the project: the key tells them apart, and a new key belongs to nobody.
        when = {"provider": "openai", "api_key_id": feature.api_key_id}
    return {
        "name": f"{feature.slug} at OpenAI, by {'key' if feature.by_key else 'project'}",
        "when": _Flow(when),
        "feature": feature.slug,
    }


def daily_usd(company: Company, traffic: Traffic) -> dict[str, Floats]:
    """What each feature costs per day, [DAYS], from the same tokens and hours as the bills; all days complete."""
    spend: dict[str, Floats] = {}
    for feature in company.llm:
        calls = traffic.calls[feature.slug]
        usd = np.where(calls.is_small, expected_usd(feature.small, calls), expected_usd(feature.large, calls))
        spend[feature.slug] = np.bincount(calls.day, weights=usd, minlength=DAYS).astype(np.float64)
        if feature.slug == company.reranker:
            spend[feature.slug] += traffic.reranker_hours.sum(axis=1) * 1.408 + traffic.training_hours * 7.09
    node_hours = traffic.gpu_node_hours.sum(axis=1)
    spend[company.gpu.slug] = node_hours * float(company.gpu.node_hour_usd) + node_hours / 24 * 500 / 30 * 0.08
    spend["unallocated"] = traffic.untagged_usd + traffic.strays_usd
    return spend
