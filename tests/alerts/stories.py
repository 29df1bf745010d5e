"""Breaks as the detector would report them: one of each kind of story that a message tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from alerts.incidents import decide, incident_from_row, incident_to_row
from alerts.message import BudgetView, RenderContext
from alerts.model import Action, Break, ChartSeries, Driver, Evidence, Incident, Part
from alerts.routing import FeatureRoute, Routing

AS_OF = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ONSET = date(2026, 11, 12)
NEWEST = date(2026, 11, 20)
ROUTING = Routing(
    default_channel="#ai-costs",
    default_owner="",
    features={"support_chat": FeatureRoute("#support-ai", "U012AB3CD"), "doc_search": FeatureRoute(None, "@maya")},
)
CONTEXT = RenderContext(
    as_of=AS_OF,
    budgets={"support_chat": BudgetView(Decimal(12000), Decimal(14100), 0.92, date(2026, 11, 26))},
    units={"support_chat": "answer", "doc_search": "document"},
    settled_through=NEWEST,
)


def make_chart(
    *,
    base: float = 370.0,
    jump: float = 412.0,
    onset: date = ONSET,
    last_day: date = NEWEST,
    unit: str = "usd",
    metric: str = "cost",
) -> ChartSeries:
    start = NEWEST - timedelta(days=89)
    rng = np.random.default_rng(11)
    weekly = np.array([1.06, 1.08, 1.07, 1.05, 1.0, 0.86, 0.84])
    weekdays = [(start + timedelta(days=n)).weekday() for n in range(90)]
    expected = base * (1 + 0.0012 * np.arange(90)) * weekly[weekdays]
    actual = expected * (1 + rng.normal(0, 0.035, 90))
    first, last = (onset - start).days, (last_day - start).days
    actual[first : last + 1] += jump * np.linspace(0.85, 1.1, last + 1 - first)
    return ChartSeries(start, metric, unit, actual, expected, expected * 0.9, expected * 1.1)


def make_break(**changes: Any) -> Break:
    """A retry storm that doubles a feature's cost, with what `changes` says changed."""
    story: dict[str, Any] = {
        "node": "support_chat",
        "direction": "up",
        "kind": "cost",
        "label": "efficiency",
        "onset": ONSET,
        "last_day": NEWEST,
        "is_active": True,
        "data_through": NEWEST,
        "score": 4.2,
        "actual_usd_per_day": Decimal("782.10"),
        "expected_usd_per_day": Decimal("370.02"),
        "expected_lower_usd_per_day": Decimal("330.00"),
        "expected_upper_usd_per_day": Decimal("410.00"),
        "excess_usd_per_day": Decimal("412.08"),
        "excess_usd_total": Decimal("3708.72"),
        "excess_percent": Decimal("111.37"),
        "evidence": (
            Evidence("cost", "usd", Decimal("782.10"), Decimal("370.02"), Decimal("330.00"), Decimal("410.00")),
            Evidence("retries", "retries", Decimal("3900"), Decimal("210")),
            Evidence(
                "cost_per_successful_task",
                "usd_per_successful_task",
                Decimal("0.0412"),
                Decimal("0.0187"),
                Decimal("0.0171"),
                Decimal("0.0204"),
            ),
        ),
        "drivers": (
            Driver("model", "gpt-5-mini", Decimal("398.20")),
            Driver("api_key_id", "key_support_prod", Decimal("390.00")),
            Driver("sku_meter", "gpt-5-mini, output", Decimal("301.10"), True, ONSET),
        ),
        "chart": None,
        "history_days": 120,
    }
    return Break(**{**story, **changes})


def last(found: Break, last_day: date, *, through: date | None = None) -> Break:
    """The break as it is when the data end on `through`: over since `last_day` where that is earlier."""
    through = through or last_day
    return replace(found, last_day=last_day, data_through=through, is_active=last_day == through)


def growth() -> Break:
    return make_break(
        node="doc_search",
        label="growth",
        evidence=(
            Evidence("cost", "usd", Decimal("782.10"), Decimal("370.02"), Decimal("330.00"), Decimal("410.00")),
            Evidence("tasks", "tasks", Decimal("12400"), Decimal("6300")),
        ),
        drivers=(Driver("model", "gpt-5-mini", Decimal("398.20")),),
    )


def weekend() -> Break:
    first, second = date(2026, 11, 14), date(2026, 11, 15)
    return make_break(
        node="training_cluster",
        label="idle",
        onset=first,
        last_day=second,
        is_active=False,
        actual_usd_per_day=Decimal("1912.40"),
        expected_usd_per_day=Decimal("210.00"),
        expected_lower_usd_per_day=Decimal("160.00"),
        expected_upper_usd_per_day=Decimal("260.00"),
        excess_usd_per_day=Decimal("1702.40"),
        excess_usd_total=Decimal("3404.80"),
        excess_percent=Decimal("810.67"),
        evidence=(),
        drivers=(Driver("gpu_type", "H100", Decimal("1690.00")),),
        chart=make_chart(base=210, jump=1700, onset=first, last_day=second),
    )


def new_key() -> Break:
    return make_break(
        node="unallocated",
        label="unknown",
        actual_usd_per_day=Decimal("251.00"),
        expected_usd_per_day=Decimal("12.50"),
        expected_lower_usd_per_day=Decimal("0.00"),
        expected_upper_usd_per_day=Decimal("31.00"),
        excess_usd_per_day=Decimal("238.50"),
        excess_usd_total=Decimal("2146.50"),
        excess_percent=Decimal("1908.00"),
        evidence=(),
        drivers=(
            Driver("api_key_id", "key_Zt81kq", Decimal("231.00"), True, ONSET),
            Driver("provider", "openai", Decimal("231.00")),
        ),
        history_days=21,
    )


def unit_cost() -> Break:
    return make_break(
        node="doc_search",
        kind="unit_cost",
        actual_usd_per_day=Decimal("148.00"),
        expected_usd_per_day=Decimal("150.00"),
        expected_lower_usd_per_day=Decimal("130.00"),
        expected_upper_usd_per_day=Decimal("170.00"),
        excess_usd_per_day=Decimal("68.40"),
        excess_usd_total=Decimal("615.60"),
        excess_percent=Decimal("85.59"),
        evidence=(
            Evidence(
                "cost_per_successful_task",
                "usd_per_successful_task",
                Decimal("0.0412"),
                Decimal("0.0222"),
                Decimal("0.0201"),
                Decimal("0.0243"),
            ),
            Evidence("successful_tasks", "tasks", Decimal("3590"), Decimal("6700")),
        ),
        drivers=(),
        parts=(Part("success_rate", Decimal("0.0171")), Part("output_tokens_per_call", Decimal("0.0019"))),
        has_parts_of_success=True,
        chart=make_chart(base=0.022, jump=0.019, unit="usd_per_successful_task", metric="cost_per_successful_task"),
    )


def zero_success() -> Break:
    return make_break(
        node="doc_search", kind="zero_success", evidence=(), drivers=(), excess_usd_per_day=Decimal("41.00")
    )


def drop() -> Break:
    return make_break(
        direction="down",
        label="growth",
        actual_usd_per_day=Decimal("120.00"),
        excess_usd_per_day=Decimal("-250.02"),
        excess_usd_total=Decimal("-2250.18"),
        excess_percent=Decimal("-67.57"),
        evidence=(Evidence("tasks", "tasks", Decimal("2000"), Decimal("6300")),),
        drivers=(Driver("model", "gpt-5-mini", Decimal("-250.02")),),
    )


def estimate() -> Break:
    return make_break(basis="estimated", label="price", drivers=(), evidence=())


class Ledger:
    """A store of incidents that keeps what decide says, through the form that the state store keeps."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    @property
    def incidents(self) -> list[Incident]:
        return [incident_from_row(row) for row in self.rows.values()]

    def run(self, breaks: list[Break], *, as_of: date = AS_OF, through: date | None = None) -> list[Action]:
        actions = decide(
            breaks,
            self.incidents,
            now=datetime(as_of.year, as_of.month, as_of.day, 9, 30, tzinfo=UTC),
            as_of=as_of,
            routing=ROUTING,
            data_through=through,
        )
        for action in actions:
            if action.incident.episode > 0:
                self.save(action.incident)
        return actions

    def save(self, incident: Incident) -> None:
        self.rows[incident.id] = incident_to_row(incident)
