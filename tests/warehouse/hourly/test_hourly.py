"""What an hour's telemetry is worth, by the bill of settled days."""

from datetime import date

from tests.warehouse.ledger import NOW, add_calls, add_charges, build_marts, charge, new_warehouse
from warehouse.features import parse_features
from warehouse.hourly import read_hourly_spend

FEATURES = parse_features("version: 1\nfeatures: {a: {}}\nrules: [{when: {}, feature: a}]")


def test_training_is_no_hours_spend() -> None:
    """A million input tokens at $0.15 a day, beside fine-tuning and an evaluation of the same model."""
    wh = new_warehouse()
    days = [date(2026, 3, day) for day in range(1, 6)]
    of_day = [{"cost": "0.15"}, {"cost": 500, "workload": "fine_tuning"}, {"cost": 7, "workload": "evaluation"}]
    add_charges(wh, [charge(charge_date=day, model="gpt-4o-mini", **row) for day in days for row in of_day])
    call = {"feature": "a", "model": "gpt-4o-mini", "input_tokens": 1_000_000, "output_tokens": 0}
    add_calls(wh, [{**call, "called_at": f"{day} 10:00:00+00"} for day in days])
    build_marts(wh, FEATURES)
    spend = read_hourly_spend(wh.con, now=NOW)
    assert spend is not None
    assert (spend.features, spend.rates.round(9).tolist()) == (("a",), [1.0])
