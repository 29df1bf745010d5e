"""`infra/prefect.yaml` and `trendbreak serve` register the same flows, and what they name can be imported."""

import inspect
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from prefect.utilities.importtools import import_object

from flows.serving.catch_up import first_due
from flows.serving.deployments import DEPLOYMENTS
from flows.settings import ScheduleSettings

INFRA = Path(__file__).parents[3] / "infra"


def test_prefect_yaml_says_what_serve_says() -> None:
    found = yaml.safe_load((INFRA / "prefect.yaml").read_text())["deployments"]
    defaults = ScheduleSettings()
    assert {one["name"]: (one["entrypoint"], one.get("schedules", [{}])[0].get("cron")) for one in found} == {
        one.name: (one.entrypoint, one.cron(defaults)) for one in DEPLOYMENTS
    }
    for one in found:
        assert one["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
        assert one["work_pool"]["name"] == "trendbreak"
        assert "trendbreak" in one["tags"]
        assert all(schedule["timezone"] for schedule in one.get("schedules", []))
        assert ":" not in one["entrypoint"], "a path would put flows/ first on sys.path"


@pytest.mark.parametrize("entrypoint", [one.entrypoint for one in DEPLOYMENTS])
def test_every_entrypoint_is_a_flow_that_needs_no_parameter_for_its_home(entrypoint: str) -> None:
    flow = import_object(entrypoint)
    assert inspect.signature(flow.fn).parameters["config"].default is None


def test_the_next_firing_is_in_the_schedules_own_time_zone() -> None:
    since = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
    assert first_due("30 9 * * *", "UTC", since) == datetime(2026, 3, 29, 9, 30, tzinfo=UTC)
    # Summer time begins in Berlin on the 29th: 9:30 is an hour earlier in UTC.
    assert first_due("30 9 * * *", "Europe/Berlin", since) == datetime(2026, 3, 29, 7, 30, tzinfo=UTC)
    on_the_tick = datetime(2026, 3, 29, 9, 30, tzinfo=UTC)
    assert first_due("30 9 * * *", "UTC", on_the_tick) == datetime(2026, 3, 30, 9, 30, tzinfo=UTC)
