"""Forecast every feature 90 days ahead, or to the end of next month, and keep what was issued."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from flows.run import Run
from flows.settings.planned_events import list_planned_events

if TYPE_CHECKING:
    from alerts.forecast import BudgetOutlook
    from alerts.model import Floats

HISTORY_DAYS = 400
LATE_DAYS = 10
LEAST_HORIZON_DAYS = 90
LARGEST_LOOSE_SHARE = Decimal("0.1")  # of the month, with no feature, where the sum of budgets still tells of all
PERIOD_COLUMNS = ("actual_usd", "mean_usd", "lower_80_usd", "upper_80_usd", "lower_95_usd", "upper_95_usd")


def make_forecasts(run: Run) -> None:
    """Read the settled series and forecast them; without a settled day there is nothing to do.

    The panel reaches to the newest day that any feature has settled: detection reads each feature up to its own.
    Forecasts are all issued from `run.data_through`, so that they add up; a feature whose bill is late is forecast
    from where its own days end. The engine of each feature is the one that the newest backtest chose for it.
    """
    from alerts.forecast import forecast_panel
    from alerts.model import FeaturePanel
    from flows.backtest import read_engines
    from warehouse.series import read_feature_panel

    if run.data_through is None:
        run.notices.append("no charges yet: nothing to forecast")
        return
    newest = max(run.feature_through.values(), default=run.data_through)
    panel = FeaturePanel(**read_feature_panel(run.warehouse.con, through=newest, days=HISTORY_DAYS))
    if not panel.features:
        run.notices.append("no feature has a cost yet: nothing to forecast")
        return
    run.panel = panel
    # A bill that ends long ago is forecast from where it ends, not to today.
    present = min(run.as_of, run.data_through + timedelta(days=LATE_DAYS))
    horizon = max((end_of_next_month(present) - run.data_through).days, LEAST_HORIZON_DAYS)
    cost = panel.cost_usd[:, : (run.data_through - panel.start).days + 1]
    run.forecast = forecast_panel(
        cost,
        start=panel.start,
        horizon=horizon,
        engine=read_engines(run.state, panel.features, now=run.now),
        events=list_planned_events(
            run.events, panel.features, first=panel.start, last=run.data_through + timedelta(days=horizon)
        ),
    )
    run.state.save_forecasts(_forecast_rows(run))
    _save_month_end(run, cost)
    _save_periods(run, cost)


def _save_month_end(run: Run, cost: Floats) -> None:
    from alerts.breaks import ALL_FEATURES
    from alerts.forecast import budget_outlook, month_end
    from alerts.model import UNALLOCATED

    assert run.panel is not None
    assert run.forecast is not None
    assert run.data_through is not None
    month = run.data_through.replace(day=1)
    ends = month_end(cost, run.forecast, month=month)
    budgets = [_budget(run, feature) for feature in run.panel.features]
    outlooks = budget_outlook(
        cost, run.forecast, [float(budget) if budget else None for budget in budgets], month=month
    )
    run.month_ends = [
        _month_row(
            run, feature, month, ends.actual[row], ends.mean[row],
            [bounds[row] for bounds in (ends.lower[0.8], ends.upper[0.8], ends.lower[0.95], ends.upper[0.95])],
            budgets[row], outlooks[row],
        )
        for row, feature in _known(run)
    ]  # fmt: skip
    # What belongs to no feature has no budget: where it is much, the sum of budgets says nothing of all either.
    loose = next((row["mean_usd"] for row in run.month_ends if row["feature"] == UNALLOCATED), Decimal(0))
    total_budget = _total_budget(run) if loose <= LARGEST_LOOSE_SHARE * cents(ends.total_mean) else None
    total = _month_row(
        run, ALL_FEATURES, month, ends.total_actual, ends.total_mean,
        [ends.total_lower[0.8], ends.total_upper[0.8], ends.total_lower[0.95], ends.total_upper[0.95]],
        total_budget, None,
    )  # fmt: skip
    if total_budget is not None:
        total["breach_probability"] = float((ends.total_outcomes > float(total_budget)).mean())
    run.month_ends.append(total)
    run.state.save_month_ends(run.month_ends)


def _save_periods(run: Run, cost: Floats) -> None:
    """This month, next month and the next 90 days: totals with intervals of their own, per feature and of all."""
    from alerts.breaks import ALL_FEATURES
    from alerts.forecast import period_total

    assert run.forecast is not None
    assert run.data_through is not None
    rows = []
    for period, (first, last) in list_periods(run.data_through).items():
        ends = period_total(cost, run.forecast, first=first, last=last)
        shared = {"as_of": run.as_of, "period": period, "first_date": first, "last_date": last, "issued_at": run.now}
        lines: list[tuple[str, list[Any]]] = [
            (
                feature,
                [ends.actual[row], ends.mean[row]]
                + [bounds[row] for bounds in (ends.lower[0.8], ends.upper[0.8], ends.lower[0.95], ends.upper[0.95])],
            )
            for row, feature in _known(run)
        ]
        bounds = [ends.total_lower[0.8], ends.total_upper[0.8], ends.total_lower[0.95], ends.total_upper[0.95]]
        lines.append((ALL_FEATURES, [ends.total_actual, ends.total_mean, *bounds]))
        rows += [
            {**shared, "feature": feature, **{name: cents(x) for name, x in zip(PERIOD_COLUMNS, figures, strict=True)}}
            for feature, figures in lines
        ]
    run.state.save_period_forecasts(rows)


def list_periods(through: date) -> dict[str, tuple[date, date]]:
    """Period → its first and last day, for data that end on `through`."""
    month = through.replace(day=1)
    next_month = (month + timedelta(days=32)).replace(day=1)
    return {
        "month": (month, next_month - timedelta(days=1)),
        "next_month": (next_month, end_of_next_month(through)),
        "90_days": (through + timedelta(days=1), through + timedelta(days=90)),
    }


def _known(run: Run) -> list[tuple[int, str]]:
    """(row, feature) of the series that have a forecast: one without any settled cost has none."""
    assert run.panel is not None
    assert run.forecast is not None
    return [(row, name) for row, name in enumerate(run.panel.features) if run.forecast.model[row] != "none"]


def end_of_next_month(day: date) -> date:
    """The last day of the month after `day`'s."""
    first = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def cents(figure: Any) -> Decimal:
    """A statistic as money for people: Decimal, rounded to cents."""
    return Decimal(repr(float(figure))).quantize(Decimal("0.01"))


def _budget(run: Run, feature: str) -> Decimal | None:
    known = run.features.features.get(feature)
    return known.monthly_budget_usd if known else None


def _total_budget(run: Run) -> Decimal | None:
    """The sum of all budgets; None when a feature has none: a budget of some says nothing about the sum of all."""
    budgets = [feature.monthly_budget_usd for feature in run.features.features.values()]
    known = [budget for budget in budgets if budget is not None]
    return sum(known, Decimal(0)) if known and len(known) == len(budgets) else None


def _month_row(
    run: Run,
    feature: str,
    month: date,
    to_date: Any,
    mean: Any,
    bounds: list[Any],
    budget: Decimal | None,
    outlook: BudgetOutlook | None,
) -> dict[str, Any]:
    """A row of the state store's month-end forecasts; `bounds` are lower and upper at 80%, then at 95%."""
    columns = ("lower_80_usd", "upper_80_usd", "lower_95_usd", "upper_95_usd")
    return {
        "as_of": run.as_of,
        "feature": feature,
        "month": month,
        "issued_at": run.now,
        "month_to_date_usd": cents(to_date),
        "mean_usd": cents(mean),
        **{column: cents(bound) for column, bound in zip(columns, bounds, strict=True)},
        "monthly_budget_usd": budget,
        "breach_probability": outlook.breach_probability if outlook else None,
        "breach_date": outlook.expected_breach_date if outlook else None,
    }


def _forecast_rows(run: Run) -> list[dict[str, Any]]:
    assert run.panel is not None
    assert run.forecast is not None
    forecast = run.forecast
    return [
        {
            "as_of": run.as_of,
            "feature": feature,
            "forecast_date": forecast.start + timedelta(days=step),
            "issued_at": run.now,
            "model": forecast.model[row],
            "mean_usd": cents(forecast.mean[row, step]),
            "lower_80_usd": cents(forecast.lower[0.8][row, step]),
            "upper_80_usd": cents(forecast.upper[0.8][row, step]),
            "lower_95_usd": cents(forecast.lower[0.95][row, step]),
            "upper_95_usd": cents(forecast.upper[0.95][row, step]),
        }
        for row, feature in _known(run)
        for step in range(forecast.mean.shape[1])
    ]
