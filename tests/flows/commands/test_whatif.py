"""`trendbreak whatif`, `savings` and `action` on a home whose figures can be worked out by hand."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alerts.whatifs import Range
from flows.cli import app
from flows.commands.savings import actions_due, add_action, describe_action, judge_actions
from flows.commands.whatif_commands import open_published, read_range
from flows.errors import FlowError
from flows.settings import load_settings
from tests.warehouse.ledger import add_calls, add_charges, build_marts, charge, new_warehouse
from warehouse.features import load_features, parse_features
from warehouse.prices import PriceBook, parse_prices
from warehouse.publish import publish
from warehouse.state import StateStore
from warehouse.store import open_warehouse
from warehouse.whatif_reads import read_traffic

LAST = date(2026, 5, 31)  # a day before the ledger's today
DAYS = 56
CHANGED = LAST - timedelta(days=20)
MONTH = Decimal(365) / 12

FEATURES = """
version: 1
features:
  {answers: {}, tagging: {}, drafts: {}, dear: {}, middling: {}, nightly: {}, young: {}, unbilled: {}, foreign: {},
   gapped: {}, spotty: {}}
rules:
  - {when: {sub_account_id: answers}, feature: answers}
  - {when: {sub_account_id: tagging}, feature: tagging}
  - {when: {sub_account_id: drafts}, feature: drafts}
  - {when: {sub_account_id: dear}, feature: dear}
  - {when: {sub_account_id: middling}, feature: middling}
  - {when: {sub_account_id: nightly}, feature: nightly}
  - {when: {sub_account_id: young}, feature: young}
  - {when: {sub_account_id: foreign}, feature: foreign}
  - {when: {sub_account_id: gapped}, feature: gapped}
  - {when: {sub_account_id: spotty}, feature: spotty}
"""
NIGHT = """
version: 1
prices:
  - {provider: acme, model: night, valid_from: 2026-01-01, usd_per_million_tokens: {input: 20, output: 20}}
  - {provider: acme, model: night, tier: batch, valid_from: 2026-01-01,
     usd_per_million_tokens: {input: 10, output: 10}}
"""
DEAR = """
  - {provider: acme, model: m15, valid_from: 2026-01-01, usd_per_million_tokens: {input: 15, output: 15}}
  - {provider: other, model: m15, valid_from: 2026-01-01, usd_per_million_tokens: {input: 15, output: 15}}
"""
PRICES = (
    NIGHT.rstrip()
    + DEAR.rstrip()
    + """
  - {provider: acme, model: large, valid_from: 2026-01-01, usd_per_million_tokens: {input: 1.90, output: 1.90}}
  - {provider: acme, model: large, tier: batch, valid_from: 2026-01-01,
     usd_per_million_tokens: {input: 0.95, output: 0.95}}
  - {provider: acme, model: small, valid_from: 2026-01-01, usd_per_million_tokens: {input: 0.38, output: 0.38}}
  - {provider: acme, model: tiny, valid_from: 2026-01-01,
     usd_per_million_tokens: {input: 0.126666667, output: 0.126666667}}
  - {provider: acme, model: m3, valid_from: 2026-01-01, usd_per_million_tokens: {input: 3.50, output: 3.50}}
  - {provider: self_hosted, model: own-vl, valid_from: 2026-01-01, usd_per_million_tokens: {input: 1, output: 1}}
  - {provider: self_hosted, model: own-vl, tier: batch, valid_from: 2026-01-01,
     usd_per_million_tokens: {input: 0.5, output: 0.5}}
"""
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """answers: 500M tokens a day at $1.90 a million, $950, as five calls. tagging: a GPU machine at $48 a day, 6 of 24
    hours busy. drafts: $10 a day for ten tasks until CHANGED, then $6. dear, middling: 1M tokens a day at $15, $3.5;
    middling names its tasks since CHANGED only.
    nightly: 1M tokens a day at $20, and as many as a batch at $10. young: as dear, for ten days. unbilled: without a
    bill. foreign: with a day in euros, of which nobody knows the rate. gapped: the only one of a provider whose
    bill of a day is missing. spotty: a machine at $12 a day, whose charge of a day is missing,
    on which a batch reads nine times as much."""
    folder = tmp_path_factory.mktemp("whatif")
    (folder / "features.yml").write_text(FEATURES)
    (folder / "prices.yml").write_text(PRICES)
    (folder / "trendbreak.yml").write_text("home: ./data\nsources: []\nfeatures: features.yml\nprices: prices.yml\n")
    calls, charges = [], []
    for age in range(DAYS):
        day = LAST - timedelta(days=age)
        at = f"{day} 10:00:00+00"
        large = {"provider": "acme", "model": "large", "charge_date": day}
        charges.append(charge(950, sub_account_id="answers", **large))
        cost = 6 if day > CHANGED else 10
        charges.append(charge(cost, sub_account_id="drafts", provider="acme", model="own", charge_date=day))
        charges.append(
            charge(
                48,
                provider="aws",
                ai_kind="gpu",
                gpu_hours=24,
                gpu_type="L4",
                resource_id="i-1",
                sub_account_id="tagging",
                charge_date=day,
            )
        )
        for feature, model, usd in (("dear", "m15", 15), ("middling", "m3", "3.5")):
            charges.append(charge(usd, sub_account_id=feature, provider="acme", model=model, charge_date=day))
            tokens = {"input_tokens": 800_000, "output_tokens": 200_000}
            named = {"task_id": f"m{age}"} if feature == "middling" and day > CHANGED else {}
            calls.append({"called_at": at, "feature": feature, "provider": "acme", "model": model, **tokens, **named})
        for feature in ("young", "foreign", "unbilled"):
            if feature == "young" and age >= 10:
                continue
            euros = {"billing_currency": "EUR"} if feature == "foreign" and age == 5 else {}
            if feature != "unbilled":
                fields = {"sub_account_id": feature, "provider": "acme", "model": "m15", "charge_date": day}
                charges.append(charge(15, **fields, **euros))
            calls.append({"called_at": at, "feature": feature, "provider": "acme", "model": "m15", **tokens})
        gapped = {"provider": "other", "model": "m15"}
        if age != 5:
            charges.append(charge(15, sub_account_id="gapped", charge_date=day, **gapped))
        calls.append({"called_at": at, "feature": "gapped", **gapped, **tokens})
        machine = {"provider": "aws", "ai_kind": "gpu", "gpu_hours": 24, "gpu_type": "L4", "resource_id": "i-2"}
        if age != 3:
            charges.append(charge(12, sub_account_id="spotty", charge_date=day, **machine))
        own = {"provider": "self_hosted", "model": "own-vl", "gpu_seconds": 20 * 3600, "output_tokens": 0}
        own |= {"input_tokens": 9 * 10**6, "pricing_tier": "batch"} if age == 3 else {"input_tokens": 10**6}
        calls.append({"called_at": at, "feature": "spotty", **own})
        night = {"provider": "acme", "model": "night"}
        charges.append(charge(30, sub_account_id="nightly", charge_date=day, **night))
        served = {"called_at": at, "feature": "nightly", **night}
        calls += [{**served, "input_tokens": 10**6, "output_tokens": 0, "pricing_tier": t} for t in (None, "batch")]
        calls += [
            {
                "called_at": at,
                "feature": "answers",
                "provider": "acme",
                "model": "large",
                "task_id": f"a{age}-{n}",
                "input_tokens": 80_000_000 if n else 170_000_000,
                "output_tokens": 2_000_000,
            }
            for n in range(5)
        ]
        calls += [
            {
                "called_at": at,
                "feature": "drafts",
                "provider": "acme",
                "model": "own",
                "task_id": f"d{age}-{n}",
            }
            for n in range(10)
        ]
        calls.append(
            {
                "called_at": at,
                "feature": "tagging",
                "provider": "self_hosted",
                "model": "vl",
                "task_id": f"t{age}",
                "gpu_seconds": 6 * 3600,
            }
        )
    with open_warehouse(folder / "data", threads=1) as wh:
        add_charges(wh, charges)
        add_calls(wh, calls)
        build_marts(wh, load_features(folder / "features.yml"), prices=PriceBook(parse_prices(NIGHT + DEAR)))
        state = StateStore(f"sqlite:///{folder / 'data' / 'state.sqlite'}")
        state.create()
        publish(wh, state, published=folder / "data" / "published" / "trendbreak.duckdb", now=datetime.now(UTC))
    return folder


def trendbreak(home: Path, *arguments: str) -> str:
    """What the command says. A FlowError comes out as such."""
    done = CliRunner().invoke(app, [*arguments, "--config", str(home / "trendbreak.yml")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def dollars(text: str, label: str) -> list[Decimal]:
    line = next(line for line in text.splitlines() if line.strip().startswith(label))
    return [Decimal(found.replace(",", "").replace("$", "")) for found in re.findall(r"-?\$[\d,.]*\d", line)]


def monthly(usd_per_day: str) -> Decimal:
    return (Decimal(usd_per_day) * MONTH).quantize(Decimal(1))


SURE = ("--token-ratio", "1", "--relative-success", "1", "--classifier", "0")


def test_route_by_hand(home: Path) -> None:
    # Five times cheaper: .3 × 950 + .7 × 190 = 418; as a cascade with 30% escalated 190 + 285 = 475.
    routed = trendbreak(home, "whatif", "route", "-f", "answers", "--to", "acme/small", "--share", "0.7", *SURE)
    assert dollars(routed, "costs") == [monthly("950")]
    assert dollars(routed, "would cost") == [monthly("418")] * 3
    assert "an attempt costs 20% of today's" in routed
    cascade = trendbreak(
        home,
        "whatif",
        "route",
        "-f",
        "answers",
        "--to",
        "acme/small",
        "--cascade",
        "--escalated",
        "0.3",
        "--token-ratio",
        "1",
    )
    assert dollars(cascade, "would cost")[0] == monthly("475")


def test_the_figures_that_everybody_quotes(home: Path) -> None:
    route = ("whatif", "route", "-f", "answers", "--to", "acme/tiny")
    # $950 a day, 15 times cheaper: 70% routed cost $329.33, and $348.33 as a cascade of which 30% are escalated.
    assert dollars(trendbreak(home, *route, "--share", "0.7", *SURE), "would cost") == [monthly("329.3333")] * 3
    cascade = trendbreak(home, *route, "--cascade", "--escalated", "0.3", "--token-ratio", "1")
    assert dollars(cascade, "would cost")[0] == monthly("348.3333")
    # $3.50 against $15 with three times the tokens: .70 of an attempt's cost, lost below 70% relative success.
    text = trendbreak(home, "whatif", "route", "-f", "dear", "--to", "acme/m3", "--token-ratio", "3", *SURE[2:])
    assert "an attempt costs 70% of today's" in text
    assert "so it loses below 70% relative success" in " ".join(text.split())
    # A pod at $19 an hour, before ops: 925M tokens a month against $15 a million, 3.96B against $3.50.
    assert "breaks even at 925M tokens a month" in trendbreak(home, "whatif", "selfhost", "-f", "dear", "--ops", "0")
    text = trendbreak(home, "whatif", "selfhost", "-f", "middling", "--ops", "0")
    assert "breaks even at 3,963M tokens a month" in text
    # 20M × $3.50 a million ÷ 730 hours, and 100M.
    assert "is true for hardware at $0.10 to $0.48 an hour" in " ".join(text.split())


def test_the_classifier_is_paid_and_every_answer_is_a_range(home: Path) -> None:
    # $2 for each of five calls a day is $10 more. 50 to 70%: 950 - .5 × 760 = 570 to 418.
    text = trendbreak(
        home,
        "whatif",
        "route",
        "-f",
        "answers",
        "--to",
        "acme/small",
        "--share",
        "50%..70%",
        *SURE[:4],
        "--classifier",
        "2",
    )
    assert dollars(text, "would cost") == [monthly("504"), monthly("428"), monthly("580")]
    assert "a month may have from 100% to 100% of it" in text
    assert "50% to 70% of the calls go to acme/small (prices.yml from 2026-01-01)" in text


def test_batch_trim_and_cache(home: Path) -> None:
    text = trendbreak(home, "whatif", "batch", "-f", "answers", "--share", "0.4")
    assert dollars(text, "would cost")[0] == monthly("760")
    assert "none is a batch today; of the other calls 40% can wait" in " ".join(text.split())
    # A third of the dollars is a batch already: of the other $20 a day 40% become half as dear.
    text = trendbreak(home, "whatif", "batch", "-f", "nightly", "--share", "0.4")
    assert dollars(text, "would cost")[0] == (26 * MONTH).quantize(Decimal("0.01"))
    assert "33.3% of the cost is a batch already; of the other calls 40% can wait" in " ".join(text.split())
    # 70M of 500M are beyond 100M of input: 133 of 950 dollars, of which a tenth comes back: 119.70.
    text = trendbreak(home, "whatif", "trim", "-f", "answers", "--max-input", "100000000", "--kept", "0.1")
    assert dollars(text, "would cost")[0] == monthly("830.3")
    assert "input is cut at 100,000,000 tokens (28 of 140 calls are longer)\n" in text
    # Reading and writing cost what input does here: caching saves nothing, and says so.
    text = trendbreak(home, "whatif", "cache", "-f", "answers")
    assert "may save or lose  $0.00" in text


def test_a_young_feature_and_calls_without_a_bill(home: Path) -> None:
    # $15 a day, for ten days, without a bill, or without that of a day: a month of it, not 10 / 28 and not nothing.
    sure = ("--to", "acme/m3", "--share", "1", *SURE)
    young = trendbreak(home, "whatif", "route", "-f", "young", *sure)
    assert dollars(young, "costs") == [(15 * MONTH).quantize(Decimal("0.01"))]
    assert "the last 10 settled days are a usual month: 10 calls, 10.0M tokens, $150.00 billed" in young
    unbilled = trendbreak(home, "whatif", "route", "-f", "unbilled", *sure)
    gapped = trendbreak(home, "whatif", "route", "-f", "gapped", *sure)
    assert dollars(unbilled, "costs") == dollars(gapped, "costs") == dollars(young, "costs")
    assert dollars(unbilled, "would cost") == dollars(young, "would cost") == [Decimal("106.46")] * 3
    assert "no bill is there for these calls: they cost tokens × dated price" in unbilled
    savings = trendbreak(home, "savings")
    assert "foreign" not in savings
    assert "no bill is there for these calls" in " ".join(savings.split())


def test_traffic_without_a_model_weeks_that_refunds_cancel_and_calls_that_all_failed() -> None:
    wh = new_warehouse()
    calls, charges = [], []
    for age in range(14):
        day = LAST - timedelta(days=age)
        call = {"called_at": f"{day} 10:00:00+00", "output_tokens": 0}
        machine = {"provider": "aws", "ai_kind": "gpu", "gpu_hours": 24, "gpu_type": "L4", "resource_id": "i-1"}
        if age != 3:  # a machine of a model that no log names
            charges.append(charge(12, sub_account_id="tagging", charge_date=day, **machine))
        calls.append({**call, "feature": "tagging", "provider": "self_hosted", "model": None, "gpu_seconds": 86_400})
        refund = {0: "-0.999999999999"}.get(age, "-1" if age < 7 else "1")
        charges.append(charge(refund, sub_account_id="drafts", charge_date=day, model="gpt-5"))
        calls.append({**call, "feature": "drafts"})
    failed = {"provider": "acme", "model": "gone", "status": "error", "input_tokens": 0}
    calls += [{**call, "feature": "unbilled", "input_tokens": 10**6, **fields} for fields in ({}, failed)]
    add_charges(wh, charges)
    add_calls(wh, calls)
    build_marts(wh, parse_features(FEATURES))
    rows = {row["feature"]: row for row in reversed(read_traffic(wh.con))}  # the dearest of each
    hosted = rows["tagging"]
    assert (hosted["model"], hosted["days"], hosted["left_out"]) == (None, 13, [LAST - timedelta(days=3)])
    assert (hosted["calls"], hosted["cost_usd"]) == (13, 13 * 12)
    assert (rows["drafts"]["cost_usd"], rows["drafts"]["most_week"]) == (Decimal("1E-12"), None)
    assert rows["unbilled"]["model"] == "gpt-5"


def test_every_assumption_may_be_a_range(home: Path) -> None:
    route = ("whatif", "route", "-f", "answers", "--to", "acme/small", "--share", "0.7", *SURE[:4])
    # 418 and $1 to $3 for each of five calls.
    assert dollars(trendbreak(home, *route, "--classifier", "1..3"), "would cost") == [
        monthly("428"), monthly("423"), monthly("433")
    ]  # fmt: skip
    pod = ("--usd-per-hour", "15..25", "--tokens-per-second", "2000..3000", "--utilisation", "1", "--ops", "0")
    # 15,208M tokens a month: 2 pods at 3,000 a second, 3 at 2,000; 500M a day at $1.90 are $28,896.
    text = trendbreak(home, "whatif", "selfhost", "-f", "answers", *pod)
    assert dollars(text, "would cost") == [Decimal(43_800), Decimal(21_900), Decimal(54_750)]
    assert "costs $15 to $25 an hour, $10,950 to $18,250 a month, and serves 2,000 to 3,000 tokens" in text
    assert "breaks even at 5,763M to 9,605M tokens a month" in text


def test_quantize_and_selfhost(home: Path) -> None:
    text = trendbreak(home, "whatif", "quantize", "-f", "tagging", "--gain", "1.6", "--extra-retries", "0")
    assert dollars(text, "would cost")[0] == (48 * MONTH / Decimal("1.6")).quantize(Decimal("0.01"))
    assert "at 60% retries the smallest gain is eaten up" in text
    # A day whose machine has no bill is in neither its calls nor its cost nor its days.
    text = trendbreak(home, "whatif", "quantize", "-f", "spotty", "--gain", "1.6", "--extra-retries", "0")
    assert dollars(text, "costs") == [12 * MONTH]
    assert "the last 28 settled days but 1 without a bill of its machines are a usual month: 27 calls" in text
    # Nor in what a batch or a cap would save: none of the others is a batch, a quarter of their input is over the cap.
    # 20 of 24 hours served them, $10 a day: half as dear in half of the calls, or a quarter less in all, it is $7.50.
    text = trendbreak(home, "whatif", "batch", "-f", "spotty", "--share", "0.5")
    assert "none is a batch today" in text
    assert dollars(text, "would cost")[0] == (Decimal("7.5") * MONTH).quantize(Decimal("0.01"))
    text = trendbreak(home, "whatif", "trim", "-f", "spotty", "--max-input", "750000", "--kept", "0")
    assert "(27 of 27 calls are longer)" in text
    assert dollars(text, "would cost")[0] == (Decimal("7.5") * MONTH).quantize(Decimal("0.01"))
    # 15,208M tokens a month at 2,800 a second need 3 pods at 90%: $41,610 instead of $28,896.
    text = trendbreak(home, "whatif", "selfhost", "-f", "answers", "--utilisation", "0.9", "--ops", "0")
    assert dollars(text, "would cost")[0] == Decimal(41_610)
    assert "loses  $12,714 a month" in text
    assert "$13,870 a month, and serves 2,800 tokens a second: $1.885 per million" in text
    assert "breaks even at 7,300M tokens a month" in text
    assert "true for hardware at $0.05 to $0.26 an hour" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("route", "-f", "answers", "--to", "acme/unheard-of"), "the price of acme/unheard-of on .* is not known"),
        (("route", "-f", "answers", "--to", "small"), "names no provider"),
        (("batch", "-f", "drafts"), "the price of acme/own on .* is not known"),
        (("cache", "-f", "nobody"), "knows no calls of 'nobody' .* it knows answers, dear, drafts, foreign, gapped"),
        (("cache", "-f", "foreign"), "the dollars of some charges of foreign, acme/m15 are not known"),
        (
            ("route", "-f", "dear", "--to", "openai/text-embedding-3-small"),
            "of openai/text-embedding-3-small for output tok",
        ),
        (("cache", "-f", "answers", "-m", "small"), "did not call 'small' — it called large"),
        (("batch", "-f", "answers", "--share", "2"), "more than all of it"),
        (("batch", "-f", "answers", "--share", "0.8..0.4"), "write its low end first"),
        (("batch", "-f", "answers", "--share", "much"), "is no number"),
        (("quantize", "-f", "answers"), "no GPU machines"),
        (("quantize", "-f", "tagging", "--gain", "0"), "must be above 0"),
        (("trim", "-f", "answers"), "nothing is capped"),
        (("trim", "-f", "drafts", "--max-input", "5"), "280 of 280 calls of acme/own have no known price"),
    ],
)
def test_what_cannot_be_said_is_refused_with_its_cure(home: Path, arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(FlowError, match=says):
        trendbreak(home, "whatif", *arguments)


def test_savings_are_ranked(home: Path) -> None:
    text = trendbreak(home, "savings")
    rows = [line for line in text.splitlines() if re.match(r" \d+ ", line)]
    # A batch saves 30% ± of half of $950; three quarters of 18 idle hours at $2, half to all of it: $36 × .75.
    assert "batch" in rows[0]
    assert dollars(rows[0], "1")[0] == monthly("142.5")
    idle = next(row for row in rows if "idle_gpu" in row)
    assert dollars(idle, idle.split()[0])[0] == (27 * MONTH).quantize(Decimal("0.01"))
    assert [dollars(row, row.split()[0])[0] for row in rows] == sorted(
        (dollars(row, row.split()[0])[0] for row in rows), reverse=True
    )
    assert any("quantize" in row and "spotty" in row for row in rows)
    assert "they do not add up" in text


def record(home: Path, *, feature: str = "drafts", on: date = CHANGED, predicted: Range | None = None) -> str:
    from rich.console import Console

    return add_action(
        load_settings(home / "trendbreak.yml"),
        Console(quiet=True),
        feature=feature,
        kind="trim",
        done_on=on,
        predicted=predicted,
        note="shorter prompts",
        who="maya",
        now=datetime(2026, 6, 1, tzinfo=UTC),
    )


def test_what_was_done_stands_beside_what_came_of_it(home: Path) -> None:
    settings = load_settings(home / "trendbreak.yml")
    predicted = Range(Decimal(100), Decimal(110), Decimal(120))
    done, again = record(home, predicted=predicted), record(home, predicted=predicted)
    assert done == again
    waiting = record(home, on=LAST - timedelta(days=3))
    state = StateStore(settings.state_url)
    with open_published(settings) as con:
        results = {result.action["action_id"]: result for result in judge_actions(con, state)}
        due = actions_due(con, state, since=CHANGED + timedelta(days=14), until=CHANGED + timedelta(days=15))
        early = actions_due(con, state, since=CHANGED, until=CHANGED + timedelta(days=14))
    # $1 a task became 60 cents: 40 cents × ten tasks a day.
    assert results[done].realised == Range.exactly(4 * MONTH)
    assert describe_action(results[done]) == (
        f"trim of drafts on {CHANGED} (shorter prompts): predicted $110.00 a month ($100.00 to $120.00), "
        "realised $121.67 a month"
    )
    assert results[waiting].realised is None
    assert "waits for 2026-06-11 to settle" in describe_action(results[waiting])
    assert [result.action["action_id"] for result in due] == [done]
    assert early == []
    listed = trendbreak(home, "action", "list")
    assert done in listed
    assert "realised $121.67 a month" in listed.replace("\n", " ")


def test_an_action_is_not_judged_by_calls_before_and_tasks_after(home: Path) -> None:
    named = record(home, feature="middling")
    with open_published(load_settings(home / "trendbreak.yml")) as con:
        results = judge_actions(con, StateStore(load_settings(home / "trendbreak.yml").state_url))
    (result,) = [result for result in results if result.action["action_id"] == named]
    assert (result.realised, result.reason) == (None, "fewer than 7 settled days with telemetry before or after it")


def test_the_digest_of_the_week_in_which_two_weeks_are_over_says_what_came_of_it(home: Path) -> None:
    at = ("--on", str(CHANGED), "--predicted", "100..120", "--note", "fewer examples")
    trendbreak(home, "action", "add", "-f", "drafts", "--kind", "trim", *at)
    said = [
        " ".join(trendbreak(home, "digest", "--show", "--week", str(day)).replace("│", " ").split())
        for day in (CHANGED + timedelta(days=14), CHANGED + timedelta(days=7))
    ]
    line = (
        f"trim of drafts on {CHANGED} (fewer examples): predicted $110.00 a month ($100.00 to $120.00), "
        "realised $121.67 a month"
    )
    assert [line in text for text in said] == [True, False]


def test_an_action_that_cannot_be_is_refused(home: Path) -> None:
    with pytest.raises(FlowError, match=r"is no feature of .* it has answers"):
        record(home, feature="nobody")
    with pytest.raises(FlowError, match="in the future"):
        record(home, on=date(2026, 6, 2))
    with pytest.raises(FlowError, match="--kind 'magic' is unknown"):
        trendbreak(home, "action", "add", "-f", "drafts", "--kind", "magic")


def test_the_command_records(home: Path) -> None:
    text = trendbreak(home, "action", "add", "-f", "answers", "--kind", "batch", "--predicted", "300..500")
    assert "judged from" in text
    assert re.search(r"act-[0-9a-f]{8} recorded: batch of answers", text)


def test_ranges_are_read_as_people_write_them() -> None:
    assert read_range("40%..80%", "--x") == Range(Decimal("0.4"), Decimal("0.6"), Decimal("0.8"))
    assert read_range("0.6", "--x") == Range.exactly(Decimal("0.6"))
    for wrong in ("", "..", "1..2..3", "-1", "nan", "inf"):
        with pytest.raises(FlowError):
            read_range(wrong, "--x")
