"""A small home for tests of the flows: one FOCUS file of sixty days, two features, one rule."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

HEADER = (
    "BilledCost,EffectiveCost,ListCost,BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,"
    "ChargeCategory,ChargePeriodStart,ChargePeriodEnd,InvoiceIssuerName,ProviderName,ServiceName,ServiceCategory,"
    "SubAccountId,Tags"
)
FEATURES = """
version: 1
features:
  support_chat: {owner: "@maya", unit: answer}
rules:
  - {name: tagged, when: {tag.feature: support_chat}, feature: support_chat}
"""


def first_day(days: int = 60) -> date:
    """The first day of a bill that ends yesterday."""
    return datetime.now(UTC).date() - timedelta(days=days)


def month_after(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def bill_lines(first: date, days: int, *, last_factor: Decimal = Decimal(1), last_days: int = 0) -> list[str]:
    """CSV lines: two services a day; the tagged one costs `last_factor` times as much on the `last_days` days."""
    lines = [HEADER]
    for offset in range(days):
        day = first + timedelta(days=offset)
        period = day.replace(day=1)
        weekend = Decimal("0.6") if day.weekday() >= 5 else Decimal(1)
        factor = last_factor if offset >= days - last_days else Decimal(1)
        wobble = Decimal(offset * 37 % 11 - 5) / 200 + 1
        for service, base, tags in (
            ("Amazon Bedrock", "100.123456789", '{""feature"": ""support_chat""}'),
            ("S3", "7.5", "{}"),
        ):
            cost = Decimal(base) * weekend * wobble * (factor if service != "S3" else 1)
            lines.append(
                f"{cost},{cost},{cost},123456789012,USD,{period}T00:00:00Z,{month_after(period)}T00:00:00Z,Usage,"
                f"{day}T00:00:00Z,{day + timedelta(days=1)}T00:00:00Z,AWS,AWS,{service},"
                f'AI and Machine Learning,111122223333,"{tags}"'
            )
    return lines


def write_small_home(folder: Path, *, schedule: str = "{}", extra: str = "", days: int = 60) -> Path:
    """Write inbox, features.yml and trendbreak.yml into `folder`; returns the configuration file."""
    (folder / "inbox").mkdir(parents=True)
    (folder / "inbox" / "bill.csv").write_text("\n".join(bill_lines(first_day(days), days)) + "\n")
    (folder / "features.yml").write_text(FEATURES)
    config = folder / "trendbreak.yml"
    config.write_text(
        "home: ./data\n"
        "sources:\n  - {name: drop, type: focus_files, location: ./inbox}\n"
        f"features: features.yml\nschedule: {schedule}\n{extra}"
    )
    return config
