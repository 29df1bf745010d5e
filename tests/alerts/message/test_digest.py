"""The weekly digest."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from alerts.blocks import to_blocks, to_text
from alerts.message import DigestFacts, DigestFeature, message_from_json, message_to_json, render_digest
from alerts.terminal import to_plain_text
from tests.alerts.golden_files import check_golden

FACTS = DigestFacts(
    week_start=date(2026, 11, 9),
    week_end=date(2026, 11, 15),
    channel="#ai-costs",
    features=(
        DigestFeature(
            "support_chat",
            Decimal("5474.70"),
            Decimal("2590.10"),
            Decimal("14100.00"),
            Decimal("12000.00"),
            Decimal("0.0412"),
            Decimal("0.0187"),
        ),
        DigestFeature("doc_search", Decimal("1036.00"), Decimal("1050.00"), Decimal("4400.00"), Decimal("6000.00")),
        DigestFeature("unallocated", Decimal("1757.00"), None),
        DigestFeature("<!channel>", Decimal("3.00"), Decimal("80.00")),
    ),
    going_on=("🔴 High · support_chat +$412/day (+111%)",),
    opened=9,
    confirmed=5,
    false_alarms=1,
    actions=(
        "trim of chat on 2026-10-30 (shorter prompts): predicted $400.00 a month ($300.00 to $500.00), realised "
        "$365.00 a month ($341.20 to $388.80)",
    ),
    report_url="https://costs.example.com/report/index.html",
)


def test_the_digest_word_for_word() -> None:
    message = render_digest(FACTS)
    golden = {
        "channel": message.channel,
        "text": to_text(message),
        "blocks": to_blocks(message, interactive=True),
        "terminal": to_plain_text(message).splitlines(),
    }
    check_golden("digest", golden)


def test_a_success_that_is_estimated_in_part_is_told_so() -> None:
    row = replace(FACTS.features[0], estimated_share=Decimal("0.248447"))
    assert "per success, 25% of it estimated" in to_plain_text(render_digest(replace(FACTS, features=(row,))))


def test_a_week_is_told_once() -> None:
    again = replace(FACTS, opened=10)
    assert render_digest(FACTS).idempotency_key == render_digest(again).idempotency_key == "digest/2026-W46/#ai-costs"
    next_week = replace(FACTS, week_start=date(2026, 11, 16), week_end=date(2026, 11, 22))
    assert render_digest(next_week).idempotency_key != render_digest(FACTS).idempotency_key


def test_an_empty_week_divides_by_nothing() -> None:
    message = render_digest(DigestFacts(date(2026, 11, 9), date(2026, 11, 15), "#c", ()))
    assert message.summary == "No AI cost in these days."
    assert message.sections == ()
    assert message.links == ()
    assert "trendbreak report" in message.footnotes[-1]
    assert message_from_json(message_to_json(message)) == message
    assert message_from_json(message_to_json(render_digest(FACTS))) == render_digest(FACTS)
