"""A drop folder with exports of OpenAI's dashboard and of the Claude Console, for the conformance suite."""

from __future__ import annotations

import csv
import gzip
import io
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.connectors.conformance.world import World


def _columns(header: str) -> list[str]:
    return header.split(",")


# Headers as users published them; columns were added over time.
OPENAI_COST = _columns(
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,line_item,"
    "user_id,api_key_id,project_id,organization_id,project_name,organization_name,user_email,api_source"
)
OPENAI_USAGE = _columns(
    "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,"
    "service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens"
)
CLAUDE_COST = _columns(
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,"
    "inference_geo,speed,api_key_id,api_key_status"
)
CLAUDE_TOKENS = _columns(
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed"
)


def openai_cost(day: date, amount: str, **cells: str) -> dict[str, str]:
    return {
        **bucket(day),
        "amount_value": amount,
        "amount_currency": "usd",
        "line_item": "gpt-5-nano, input_tokens",
        "project_id": "proj_a",
        "project_name": "Support",
        "organization_id": "org-1",
        "user_email": "someone@example.com",
        **cells,
    }


def bucket(day: date) -> dict[str, str]:
    """As the dashboard writes it: seconds, and UTC without saying so."""
    start, end = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (day, day + timedelta(days=1)))
    return {
        "start_time": str(int(start.timestamp())),
        "end_time": str(int(end.timestamp())),
        "start_time_iso": f"{start:%Y-%m-%dT%H:%M:%S}",
        "end_time_iso": f"{end:%Y-%m-%dT%H:%M:%S}",
    }


def claude_cost(day: date, amount: str, **cells: str) -> dict[str, str]:
    return {
        "usage_date_utc": day.isoformat(),
        "model": "Claude Sonnet 4.5",
        "workspace": "Default",
        "api_key": "support-prod",
        "usage_type": "message",
        "context_window": "≤ 200k",
        "token_type": "input_no_cache",
        "cost_usd": amount,
        "list_price_usd": amount,
        "cost_type": "token",
        "inference_geo": "global",
        **cells,
    }


def csv_bytes(
    columns: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    *,
    delimiter: str = ",",
    has_mark: bool = False,
    line_end: str = "\n",
    quoting: Any = csv.QUOTE_MINIMAL,
) -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(
        stream,
        columns,
        delimiter=delimiter,
        lineterminator=line_end,
        restval="",
        quoting=quoting,
        extrasaction="ignore",
    )
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode("utf-8-sig" if has_mark else "utf-8")


class ProviderCsvWorld(World):
    source_type = "provider_csv"
    reads_all_days = True

    def __init__(self, seed: int, folder: Path) -> None:
        self._rng = random.Random(seed)
        self._folder = folder / "exports"
        self._openai: list[dict[str, str]] = []
        self._claude: list[dict[str, str]] = []
        for offset in range(1, 8):
            day = self.window.start + timedelta(days=offset)
            for item in ("gpt-5-nano, input_tokens", "gpt-5-nano, output_tokens", 'web search, "deep"\ncalls'):
                self._openai.append(openai_cost(day, self._openai_amount(), line_item=item))
            for token_type in ("input_no_cache", "input_cache_read", "output"):
                amount = str(Decimal(self._rng.randrange(1, 10**5)).scaleb(-2))
                self._claude.append(claude_cost(day, amount, token_type=token_type))
        self._openai.append(bucket(self.window.start))  # nothing was used that day
        self._extra: list[str] = []
        self._write()

    def _openai_amount(self) -> str:
        amount = Decimal(self._rng.randrange(1, 10**11)).scaleb(-self._rng.choice((2, 9, 12)))
        style = self._rng.randrange(3)
        return f"{amount:.12E}" if style == 0 else f"{amount:.30f}" if style == 1 else str(amount)

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, columns, rows in (
            ("cost_2026-01-01_2026-01-31.csv", OPENAI_COST, self._openai),
            ("claude_api_cost_2026_01_01_to_2026_01_31.csv.gz", CLAUDE_COST, self._claude),
        ):
            shuffled = [*columns, *self._extra]
            self._rng.shuffle(shuffled)
            data = csv_bytes(
                shuffled,
                [{**row, **dict.fromkeys(self._extra, "new")} for row in rows],
                delimiter=self._rng.choice(",;\t"),
                has_mark=self._rng.random() < 0.5,
                line_end=self._rng.choice(("\n", "\r\n")),
                quoting=self._rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
            )
            (self._folder / name).write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)

    @property
    def options(self) -> dict[str, Any]:
        return {"location": str(self._folder), "organization": "acme"}

    @property
    def truth(self) -> dict[date, Decimal]:
        sums: dict[date, Decimal] = defaultdict(Decimal)
        for row in self._openai:
            if "amount_value" in row:
                sums[date.fromisoformat(row["start_time_iso"][:10])] += Decimal(row["amount_value"])
        for row in self._claude:
            sums[date.fromisoformat(row["usage_date_utc"])] += Decimal(row["cost_usd"])
        return dict(sums)

    def empty(self) -> None:
        self._openai, self._claude = [], []
        self._write()

    def add_unknown_field(self, name: str) -> None:
        self._extra.append(name)
        self._write()

    def deny(self) -> None:
        self._folder.rename(self._folder.with_name("elsewhere"))
