"""The company's OpenAI bill: the rows that the costs, usage, projects and API key endpoints answer with.

Two things at this provider are as they are there: a cost is a number in one answer and a string in
the next, and `input_tokens` of usage includes the cached ones.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from flows.demo.company import DAYS, GPT_SMALL, START, Company, Model
from flows.demo.traffic import Floats, Ints, Traffic

_DAY_SECONDS = 86_400
_START_SECONDS = int(datetime(START.year, START.month, START.day, tzinfo=UTC).timestamp())
# attribute, second word of the line item, price
_LINES = (
    ("input_tokens", "input_tokens", "input_usd"),
    ("cache_read_tokens", "cached_input_tokens", "cache_read_usd"),
    ("output_tokens", "output_tokens", "output_usd"),
)


def write_answers(folder: Path, company: Company, traffic: Traffic) -> int:
    """Writes `answers.json`, what `openai_server` serves; returns the number of cost rows."""
    costs: list[dict[str, Any]] = []
    usage: list[dict[str, Any]] = []
    for project_id, key_id, model, tokens, requests in _meters(company, traffic):
        costs.extend(_cost_rows(company, project_id, key_id, model, tokens))
        usage.extend(_usage_rows(project_id, key_id, model, tokens, requests))
    costs.sort(key=_order)
    usage.sort(key=_order)
    answers = {
        "costs": costs,
        "usage_completions": usage,
        "projects": _projects(company),
        "api_keys": _api_keys(company),
    }
    folder.mkdir(parents=True)
    (folder / "answers.json").write_text(json.dumps(answers, separators=(",", ":"), sort_keys=True))
    return len(costs)


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    return (row["start_time"], row["project_id"], row["api_key_id"], row.get("model", ""), row.get("line_item", ""))


def _meters(company: Company, traffic: Traffic) -> list[tuple[str, str, Model, dict[str, Ints], Ints]]:
    """(project, key, model, tokens per day by kind, requests per day) of everything that ran at OpenAI."""
    found: list[tuple[str, str, Model, dict[str, Ints], Ints]] = []
    complete = np.ones(DAYS)
    complete[-1] = 0.93  # the newest day is still being counted
    for feature in company.llm:
        if feature.project_id is None or feature.api_key_id is None:
            continue
        calls = traffic.calls[feature.slug]
        for model, rows in ((feature.large, ~calls.is_small), (feature.small, calls.is_small)):
            day = calls.day[rows]
            tokens = {
                attribute: np.round(
                    np.bincount(day, weights=getattr(calls, attribute)[rows].astype(np.float64), minlength=DAYS)
                    * complete
                ).astype(np.int64)
                for attribute, *_ in _LINES
            }
            requests = np.round(np.bincount(day, minlength=DAYS) * complete).astype(np.int64)
            found.append((feature.project_id, feature.api_key_id, model, tokens, requests))
    small = GPT_SMALL[0]
    found.append(
        (
            company.default_project_id,
            company.default_key_id,
            small,
            _tokens_of(traffic.strays_usd * 0.6 * complete, small),
            np.round(traffic.strays_usd * 3).astype(np.int64),
        )
    )
    untagged = company.untagged
    if untagged.project_id is not None and untagged.api_key_id is not None:
        tokens = _tokens_of(traffic.untagged_usd * complete, untagged.model)
        requests = np.round(traffic.untagged_usd * 7).astype(np.int64)
        found.append((untagged.project_id, untagged.api_key_id, untagged.model, tokens, requests))
    return found


def _tokens_of(spend: Floats, model: Model) -> dict[str, Ints]:
    """Tokens that cost `spend` dollars a day: 55% of it input, 5% cached input, 40% output."""
    shares = {"input_tokens": 0.55, "cache_read_tokens": 0.05, "output_tokens": 0.40}
    return {
        attribute: np.round(spend * shares[attribute] / float(getattr(model, price)) * 1e6).astype(np.int64)
        for attribute, _, price in _LINES
    }


def _cost_rows(
    company: Company, project_id: str, key_id: str, model: Model, tokens: dict[str, Ints]
) -> list[dict[str, Any]]:
    as_text = (company.seed + len(model.name)) % 2 == 0
    rows: list[dict[str, Any]] = []
    for attribute, word, price in _LINES:
        usd = np.round(tokens[attribute] * float(getattr(model, price)) / 1e6, 12)
        for day in np.flatnonzero(tokens[attribute]).tolist():
            value = float(usd[day])
            rows.append(
                {
                    "object": "organization.costs.result",
                    "start_time": _START_SECONDS + day * _DAY_SECONDS,
                    "amount": {"value": repr(value) if as_text else value, "currency": "usd"},
                    "line_item": f"{model.name}, {word}",
                    "project_id": project_id,
                    "api_key_id": key_id,
                    "quantity": int(tokens[attribute][day]),
                    "quantity_unit": "tokens",
                }
            )
    return rows


def _usage_rows(
    project_id: str, key_id: str, model: Model, tokens: dict[str, Ints], requests: Ints
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for day in np.flatnonzero(tokens["input_tokens"] + tokens["output_tokens"]).tolist():
        uncached = int(tokens["input_tokens"][day])
        cached = int(tokens["cache_read_tokens"][day])
        output = int(tokens["output_tokens"][day])
        rows.append(
            {
                "object": "organization.usage.completions.result",
                "start_time": _START_SECONDS + day * _DAY_SECONDS,
                "input_tokens": uncached + cached,
                "input_cached_tokens": cached,
                "input_cache_write_tokens": 0,
                "input_uncached_tokens": uncached,
                "output_tokens": output,
                "input_text_tokens": uncached + cached,
                "output_text_tokens": output,
                "input_cached_text_tokens": cached,
                "input_audio_tokens": 0,
                "input_cached_audio_tokens": 0,
                "output_audio_tokens": 0,
                "input_image_tokens": 0,
                "input_cached_image_tokens": 0,
                "output_image_tokens": 0,
                "num_model_requests": int(requests[day]),
                "project_id": project_id,
                "user_id": None,
                "api_key_id": key_id,
                "model": model.name,
                "batch": False,
                "service_tier": "default",
            }
        )
    return rows


def _projects(company: Company) -> list[dict[str, Any]]:
    names = {company.default_project_id: "Default project"}
    for feature in company.llm:
        if feature.project_id is not None and feature.project_name is not None:
            names[feature.project_id] = feature.project_name
    untagged = company.untagged
    if untagged.project_id is not None and untagged.project_name is not None:
        names.setdefault(untagged.project_id, untagged.project_name)
    return [
        {
            "id": project_id,
            "object": "organization.project",
            "name": name,
            "created_at": _START_SECONDS - 90 * _DAY_SECONDS + index,
            "archived_at": None,
            "status": "active",
        }
        for index, (project_id, name) in enumerate(names.items())
    ]


def _api_keys(company: Company) -> dict[str, list[dict[str, Any]]]:
    keys: dict[str, list[dict[str, Any]]] = {}

    def add(project_id: str, key_id: str, name: str, person: str) -> None:
        keys.setdefault(project_id, []).append(
            {
                "object": "organization.project.api_key",
                "redacted_value": f"sk-proj-...{key_id[-4:]}",
                "name": name,
                "created_at": _START_SECONDS - 60 * _DAY_SECONDS,
                "last_used_at": _START_SECONDS + (DAYS - 1) * _DAY_SECONDS,
                "id": key_id,
                "owner_project_access": "active",
                "owner": {
                    "type": "user",
                    "user": {
                        "id": f"user_{person}",
                        "name": person.capitalize(),
                        "email": f"{person}@example.com",
                        "role": "owner",
                        "created_at": _START_SECONDS - 200 * _DAY_SECONDS,
                    },
                },
            }
        )

    add(company.default_project_id, company.default_key_id, "notebooks", "platform")
    for feature in company.llm:
        if feature.project_id is not None and feature.api_key_id is not None:
            add(
                feature.project_id,
                feature.api_key_id,
                f"{feature.slug.replace('_', '-')}-prod",
                feature.owner.removeprefix("@"),
            )
    untagged = company.untagged
    if untagged.project_id is not None and untagged.api_key_id is not None:
        add(untagged.project_id, untagged.api_key_id, "tmp-agent-test", "intern")
    return keys
