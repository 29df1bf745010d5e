"""What counts as found, and what as false."""

from datetime import date
from typing import Any

from flows.demo.company import PlantedBreak
from flows.demo.scoring import score

STORM = PlantedBreak("retry_storm", "support_chat", date(2026, 10, 14), "cost", "")
DROP = PlantedBreak("success_drop", "doc_search", date(2026, 10, 9), "unit_cost", "")


def incident(**changes: Any) -> dict[str, Any]:
    return {
        "node": "support_chat",
        "direction": "up",
        "kind": "cost",
        "onset": date(2026, 10, 14),
        "last_day": date(2026, 10, 18),
        **changes,
    }


def test_an_incident_of_the_node_and_time_is_found_whatever_metric_speaks_loudest() -> None:
    for kind in ("cost", "unit_cost"):
        outcome = score([STORM], [incident(kind=kind)])
        assert outcome.recalled == 1
        assert outcome.false == ()


def test_another_node_direction_or_time_is_false() -> None:
    wrong = (
        incident(node="doc_search"),
        incident(direction="down"),
        incident(onset=date(2026, 10, 10)),
        incident(onset=date(2026, 10, 12), last_day=date(2026, 10, 13)),
    )
    for one in wrong:
        outcome = score([STORM], [one])
        assert outcome.recalled == 0
        assert outcome.false == (one,)


def test_a_break_of_unit_cost_must_be_called_that() -> None:
    at_drop = {"node": "doc_search", "onset": date(2026, 10, 10)}
    assert score([DROP], [incident(**at_drop)]).recalled == 0
    assert score([DROP], [incident(**at_drop, kind="unit_cost")]).recalled == 1
    assert score([DROP], [incident(**at_drop, kind="zero_success")]).recalled == 1


def test_a_drift_may_be_dated_a_week_early_and_not_more() -> None:
    drift = PlantedBreak("slow_drift", "support_chat", date(2026, 9, 28), "cost", "")
    assert score([drift], [incident(onset=date(2026, 9, 21))]).recalled == 1
    assert score([drift], [incident(onset=date(2026, 9, 20))]).recalled == 0
    assert score([drift], [incident(onset=date(2026, 10, 16))]).recalled == 1


def test_a_second_incident_on_the_same_break_is_false() -> None:
    outcome = score([STORM, DROP], [incident(), incident(onset=date(2026, 10, 16))])
    assert outcome.recalled == 1
    assert [row["onset"] for row in outcome.false] == [date(2026, 10, 16)]
