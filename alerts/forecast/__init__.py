"""Forecasts of daily cost: the panel's forecast with intervals, the month's end, the budget.

    forecast_panel(y[n, T], start=…, horizon=…)  -> PanelForecast
    month_end(y, forecast)                       -> MonthEnd, features and total
    budget_outlook(y, forecast, budgets)         -> a BudgetOutlook per series
    backtest(y, start=…), then choose(scores)    -> an engine per series
    explain_series(values[T], start=…)           -> Components

Money enters as float64: it is statistics here. The clock is always an argument. statsmodels is imported by the
engines "ets" and "uc" and by explain_series, when they run and not before.
"""

from __future__ import annotations

from alerts.forecast.backtest import BacktestScore, EngineSummary, backtest, choose, summarise
from alerts.forecast.engines import ENGINES, forecast_panel
from alerts.forecast.explaining import Components, explain_series
from alerts.forecast.holidays import us_federal_holidays
from alerts.forecast.month import BudgetOutlook, MonthEnd, budget_outlook, month_end, period_total
from alerts.forecast.panel import EngineUnfit, PanelForecast, PlannedEvent

__all__ = [
    "ENGINES",
    "BacktestScore",
    "BudgetOutlook",
    "Components",
    "EngineSummary",
    "EngineUnfit",
    "MonthEnd",
    "PanelForecast",
    "PlannedEvent",
    "backtest",
    "budget_outlook",
    "choose",
    "explain_series",
    "forecast_panel",
    "month_end",
    "period_total",
    "summarise",
    "us_federal_holidays",
]
