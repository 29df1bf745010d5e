from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.splits import (
    SHARE_PLACES,
    UNALLOCATED,
    Shares,
    even_shares,
    model_key,
    proportional_shares,
    telemetry_shares,
    weigh_tokens,
    weighted_shares,
)

D = Decimal
DAY = date(2026, 3, 1)
WEIGHTS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", UNALLOCATED]),
    st.decimals(min_value=-5, max_value=10**9, places=4, allow_nan=False),
    max_size=5,
)


def days(count: int) -> list[date]:
    return [DAY + timedelta(days=n) for n in range(count)]


@given(weights=WEIGHTS, total=st.none() | st.decimals(min_value=0, max_value=10**10, places=4))
def test_shares_are_narrow_positive_and_add_up_to_one(weights: dict[str, Decimal], total: Decimal | None) -> None:
    shares = weighted_shares(weights, total=total)
    assert sum(shares.parts.values()) == 1
    assert shares.remainder in shares.parts
    for name, share in shares.parts.items():
        assert 0 <= share <= 1
        exponent = share.as_tuple().exponent
        assert isinstance(exponent, int)
        assert exponent >= -SHARE_PLACES
        assert name == UNALLOCATED or weights[name] > 0


@given(weights=WEIGHTS)
def test_shares_do_not_depend_on_the_order_of_weights(weights: dict[str, Decimal]) -> None:
    assert weighted_shares(weights) == weighted_shares(dict(reversed(list(weights.items()))))


def test_thirds_leave_the_rest_to_one_named_feature() -> None:
    shares = even_shares(["b", "a", "c"])
    assert shares.parts == {"a": D("0.333333333334"), "b": D("0.333333333333"), "c": D("0.333333333333")}
    assert shares.remainder == "a"


def test_what_the_weights_lack_of_the_total_is_unallocated() -> None:
    shares = weighted_shares({"a": D(30), "b": D(20)}, total=D(100))
    assert shares == Shares(
        {"a": D("0.300000000000"), "b": D("0.200000000000"), UNALLOCATED: D("0.500000000000")}, UNALLOCATED
    )


def test_more_than_the_total_is_shared_as_if_it_were_the_total() -> None:
    """Telemetry that counts twice must not give away more than the bill."""
    assert weighted_shares({"a": D(90), "b": D(30)}, total=D(60)) == weighted_shares({"a": D(3), "b": D(1)})


def test_nothing_to_go_by_is_unallocated() -> None:
    assert weighted_shares({}).parts == {UNALLOCATED: D(1)}
    assert weighted_shares({"a": D(0), "b": D(-1)}).parts == {UNALLOCATED: D(1)}


def test_proportional_follows_the_same_day_else_the_days_before() -> None:
    direct: Mapping[date, Mapping[str, Decimal]] = {
        DAY: {"a": D(30), "b": D(10), "other": D(99)},
        DAY + timedelta(days=1): {"other": D(5)},
    }
    assert proportional_shares(direct, DAY, ["a", "b"]).parts == {"a": D("0.75"), "b": D("0.25")}
    assert proportional_shares(direct, DAY + timedelta(days=1), ["a", "b"]).parts["a"] == D("0.75")
    assert proportional_shares(direct, DAY + timedelta(days=29), ["a", "b"]).parts == {UNALLOCATED: D(1)}
    assert proportional_shares(direct, DAY - timedelta(days=1), ["a", "b"]).parts == {UNALLOCATED: D(1)}


def test_when_a_features_telemetry_stops_no_other_features_share_moves() -> None:
    everyone = {"a": D(50), "b": D(30), "small": D(1)}
    estimates = {day: dict(everyone) for day in days(60)}
    billed = dict.fromkeys(days(60), D("90"))
    whole = telemetry_shares(billed_usd=billed, estimates=estimates, metered={}, trailing_days=28)
    for gone in ("a", "small"):
        stopped = {
            day: {name: size for name, size in sizes.items() if name != gone or day < DAY + timedelta(days=20)}
            for day, sizes in estimates.items()
        }
        shares = telemetry_shares(billed_usd=billed, estimates=stopped, metered={}, trailing_days=28)
        for day in days(60)[20:]:  # also long after the trailing days are over
            others = set(everyone) - {gone}
            for name in others:
                assert abs(shares[day].parts[name] - whole[day].parts[name]) <= D("1e-11")
            assert abs(shares[day].parts[UNALLOCATED] - whole[day].parts[gone]) <= D("1e-11")


def test_half_of_a_features_telemetry_lost_is_unallocated_too() -> None:
    billed = dict.fromkeys(days(60), D(100))
    estimates = {day: {"a": D(60) if day < DAY + timedelta(days=20) else D(30), "b": D(40)} for day in days(60)}
    shares = telemetry_shares(billed_usd=billed, estimates=estimates, metered={}, trailing_days=28)
    assert shares[days(60)[59]].parts == {"a": D("0.3"), "b": D("0.4"), UNALLOCATED: D("0.3")}


def test_a_feature_that_really_ends_takes_its_part_of_the_bill_with_it() -> None:
    billed = {day: D(100) if day < DAY + timedelta(days=20) else D(40) for day in days(60)}
    estimates = {day: {"a": D(60), "b": D(40)} if day < DAY + timedelta(days=20) else {"b": D(40)} for day in days(60)}
    shares = telemetry_shares(billed_usd=billed, estimates=estimates, metered={}, trailing_days=28)
    assert shares[days(60)[40]].parts == {"b": D(1)}


def test_more_telemetry_than_the_bill_lets_expect_is_the_whole() -> None:
    billed = dict.fromkeys(days(30), D(100))
    estimates = {day: {"a": D(50)} for day in days(29)} | {days(30)[29]: {"a": D(50), "b": D(50)}}
    shares = telemetry_shares(billed_usd=billed, estimates=estimates, metered={}, trailing_days=28)
    assert shares[days(30)[29]].parts == {"a": D("0.5"), "b": D("0.5")}


def test_where_the_provider_meters_its_meter_is_the_denominator() -> None:
    shares = telemetry_shares(
        billed_usd={DAY: D(100)},
        estimates={DAY: {"a": D(1)}},
        metered={DAY: (D(1000), {"a": D(250), "b": D(150)})},
        trailing_days=28,
    )
    assert shares[DAY].parts == {"a": D("0.25"), "b": D("0.15"), UNALLOCATED: D("0.6")}


def test_a_day_without_telemetry_is_unallocated_and_teaches_nothing() -> None:
    billed = dict.fromkeys(days(10), D(100))
    estimates = {day: {"a": D(100)} for day in days(10) if day != days(10)[5]}
    shares = telemetry_shares(billed_usd=billed, estimates=estimates, metered={}, trailing_days=3)
    assert shares[days(10)[5]].parts == {UNALLOCATED: D(1)}
    assert shares[days(10)[9]].parts == {"a": D(1)}


def test_credits_larger_than_the_days_usage_break_nothing() -> None:
    shares = telemetry_shares(
        billed_usd={DAY: D(-5)}, estimates={DAY: {"a": D(3), "b": D(1)}}, metered={}, trailing_days=28
    )
    assert shares[DAY].parts == {"a": D("0.75"), "b": D("0.25")}


def test_tokens_are_weighed_by_kind_and_unknown_counts_as_none() -> None:
    assert (
        weigh_tokens({"input_tokens": 100, "cache_read_tokens": 100, "output_tokens": 10, "reasoning_tokens": None})
        == 160
    )


@pytest.mark.parametrize(
    ("spellings", "key"),
    [
        (["gpt-5-mini", "gpt-5-mini-2025-08-07", "openai/gpt-5-mini", "GPT-5-mini", "openai.gpt-5-mini"], "gpt-5-mini"),
        (
            [
                "claude-sonnet-4-5",
                "claude-sonnet-4-5-20250929",
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "anthropic.claude-sonnet-4-5-20250929-v1:0",
                "claude-sonnet-4-5@20250929",
                "vertex_ai/claude-sonnet-4-5@20250929",
                "claude-sonnet-4-5-latest",
            ],
            "claude-sonnet-4-5",
        ),
        (["gemini-2.5-flash"], "gemini-2.5-flash"),
        (["gpt-4.1"], "gpt-4.1"),
    ],
)
def test_a_model_has_one_key_however_it_is_spelled(spellings: list[str], key: str) -> None:
    assert {model_key(spelling) for spelling in spellings} == {key}
