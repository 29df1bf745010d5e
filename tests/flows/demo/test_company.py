"""The invented companies: sensible, different from seed to seed, and honest about what was planted."""

from datetime import timedelta

import numpy as np
import pytest

from flows.demo.company import (
    AS_OF,
    GPU_FEATURES,
    LAST_SETTLED,
    LLM_FEATURES,
    SECTORS,
    START,
    Company,
    invent,
)
from flows.demo.traffic import simulate, weekdays
from flows.demo.world import daily_usd

SEEDS = range(40)


def test_the_calendar_ends_so_that_the_last_weekend_is_settled() -> None:
    assert AS_OF.weekday() == 2
    assert LAST_SETTLED.weekday() == 6
    # AWS settles a day two days after its end: the day itself, and two more, have passed by AS_OF.
    assert timedelta(days=3) == AS_OF - LAST_SETTLED
    assert (AS_OF - START).days == 120


@pytest.mark.parametrize("seed", SEEDS)
def test_every_company_has_six_features_and_five_breaks_in_honest_places(seed: int) -> None:
    company = invent(seed)
    assert company == invent(seed)
    assert len(set(company.features)) == 6
    assert len({feature.owner for feature in company.llm} | {company.gpu.owner}) == 6
    assert {feature.large.provider for feature in company.llm} == {"openai", "aws"}
    nodes = {planted.story: planted.node for planted in company.planted}
    assert len(nodes) == len(set(nodes.values())) == 5
    assert nodes["untagged_key"] == "unallocated"
    assert nodes["idle_gpu"] == company.gpu.slug
    days_ago = {planted.story: (LAST_SETTLED - planted.onset).days + 1 for planted in company.planted}
    assert 4 <= days_ago["retry_storm"] <= 6
    assert days_ago["slow_drift"] == 21
    assert days_ago["idle_gpu"] == 2
    assert 4 <= days_ago["untagged_key"] <= 5
    assert 8 <= days_ago["success_drop"] <= 11
    assert [planted.metric for planted in company.planted if planted.story == "success_drop"] == ["unit_cost"]
    clean = {feature.slug for feature in company.llm if feature.role == "clean"}
    assert company.reranker in clean
    assert not clean & set(nodes.values())


def test_seeds_differ_and_all_stories_come_through_every_door() -> None:
    companies = [invent(seed) for seed in SEEDS]
    assert len({company.name for company in companies}) > 30
    assert {company.untagged.route for company in companies} == {"new_project", "new_key", "bedrock"}
    assert len({company.features for company in companies}) > 20
    for role in ("retry_storm", "slow_drift", "success_drop"):
        providers = {f.large.provider for company in companies for f in company.llm if f.role == role}
        assert providers == {"openai", "aws"}, role


def test_sectors_name_known_features() -> None:
    for _, _, llm, gpu in SECTORS:
        assert len(llm) >= 5
        assert set(llm) <= set(LLM_FEATURES)
        assert set(gpu) <= set(GPU_FEATURES)


def settled(company: Company) -> dict[str, np.ndarray]:
    last = (LAST_SETTLED - START).days + 1
    return {name: series[:last] for name, series in daily_usd(company, simulate(company)).items()}


@pytest.mark.parametrize("seed", range(12))
def test_noise_is_that_of_real_bills(seed: int) -> None:
    """Before the breaks: no constants, and days around their weekday's level by 3 to 10 percent."""
    company = invent(seed)
    before = 95
    for name, series in settled(company).items():
        days = series[:before]
        logs = np.log(days)
        growth = np.polyval(np.polyfit(np.arange(before), logs, 1), np.arange(before))
        residual = np.concatenate(
            [
                (logs - growth)[weekdays()[:before] == day] - (logs - growth)[weekdays()[:before] == day].mean()
                for day in range(7)
            ]
        )
        assert len(np.unique(days)) == before
        if name != "unallocated":
            assert 0.02 < residual.std() < 0.10, (name, residual.std())


@pytest.mark.parametrize("seed", range(12))
def test_each_break_does_what_its_note_says(seed: int) -> None:
    company = invent(seed)
    traffic = simulate(company)
    spend = settled(company)
    place = {planted.story: (planted.onset - START).days for planted in company.planted}
    node = {planted.story: planted.node for planted in company.planted}

    def against_own_weekdays(story: str, first: int) -> float:
        series = spend[node[story]]
        weeks_before = [place["slow_drift"] - 7 * week for week in range(1, 5)]
        base = [
            np.mean([series[start + (day - start) % 7] for start in weeks_before]) for day in range(first, len(series))
        ]
        return float(series[first:].sum() / np.sum(base))

    assert 1.7 < against_own_weekdays("retry_storm", place["retry_storm"] + 1) < 2.6
    # 2.2 to 3% a day for 21 days, and up to 2.5% of ordinary growth since the weeks it is compared with
    assert 1.45 < against_own_weekdays("slow_drift", len(spend[node["slow_drift"]]) - 3) < 2.1
    assert against_own_weekdays("idle_gpu", place["idle_gpu"]) > 1.8
    unallocated = spend["unallocated"]
    assert unallocated[: place["untagged_key"]].max() < 25
    assert 60 < unallocated[place["untagged_key"] + 1 :].mean() < 280

    feature = next(one for one in company.llm if one.slug == node["success_drop"])
    calls = traffic.calls[feature.slug]
    known, day = calls.outcome >= 0, calls.day
    after = day >= place["success_drop"] + 1
    before = (day < place["success_drop"]) & (day >= place["success_drop"] - 28)
    rate_before, rate_after = (float((calls.outcome[known & span] == 0).mean()) for span in (before, after))
    assert 1.3 < rate_before / rate_after < 1.9
    assert 0.9 < against_own_weekdays("success_drop", place["success_drop"]) < 1.12
