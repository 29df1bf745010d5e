"""What a demo says on the terminal: the story before, the outcome after. Made for 80 columns or more."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.commands.terminal import Unbroken, clean, shown_path
from flows.report import figures
from flows.report.data import FeatureRow, IncidentRow, MonthForecast, ReportData, group_watches
from flows.report.geometry import moving_mean

if TYPE_CHECKING:
    from flows.demo.scoring import Score
    from flows.demo.world import DemoWorld
    from flows.summary import RunSummary
    from warehouse.state import StateStore

_SPARK_LEVELS = "▁▂▃▄▅▆▇█"
_WIDE = 96  # columns from which the tables show a trend and both changes
_QUIET_CHANGE = Decimal("0.10")
_SEVERITY_STYLES = {"high": "bold red", "medium": "yellow", "low": "dim"}


def show_story(world: DemoWorld, console: Console) -> None:
    """Who the company is, before the run."""
    console.print()
    console.print(Text.assemble((world.company_name, "bold"), (f"  {world.tagline}", "dim")))
    features = ", ".join(world.features)
    console.print(
        Text(
            f"Six AI features ({features}) and their bills from {figures.day(world.start)} on: "
            f"{world.aws_rows:,} rows from AWS, {world.openai_rows:,} from OpenAI, {world.event_lines:,} logged calls. "
            f"Five things went wrong in the last weeks. Nobody tells Trendbreak which."
        )
    )
    console.print()


def show_outcome(
    world: DemoWorld, summary: RunSummary, console: Console, *, total_seconds: float, written_seconds: float
) -> None:
    """What the run found: the gravest message as Slack shows it, the summary, and how much was found."""
    from flows.demo.scoring import score
    from flows.report.fill import build_report
    from flows.report.suggestions import suggest_queries
    from warehouse.state import StateStore

    for name, failure in summary.failures.items():
        console.print(Text(f"{name}: {clean(failure)}", style="bold red"), soft_wrap=True)
    for notice in summary.notices[:3]:
        console.print(Text(clean(notice), style="dim"), soft_wrap=True)
    if summary.data_through is None:
        return
    state = StateStore(f"sqlite:///{world.home / 'state.sqlite'}")
    data = build_report(
        summary.home.published,
        state,
        organization=world.company_name,
        as_of=world.as_of,
        generated_at=world.now,
        through=summary.data_through,
        failures=summary.failures,
        queries=suggest_queries(world.config_path),
        files=(
            ("report", shown_path(summary.home.report)),
            ("Slack messages, charts", f"{shown_path(summary.home.outbox)}/"),
            ("warehouse, read-only", shown_path(summary.home.published)),
            ("bills and telemetry", f"{shown_path(world.home / 'demo')}/"),
        ),
        is_invented=True,
    )
    for part in _posted(state, console.width, is_new=bool(summary.told)):
        console.print(part)
    console.print(render_terminal_summary(data, width=console.width), crop=False)
    found = score(world.planted, state.list_incidents())
    console.print(_scorecard(found, console.width))
    steps = sorted(summary.seconds.items(), key=lambda step: -step[1])
    where = ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps[:5])
    console.print(
        Text(
            f"\n{total_seconds:.1f} s in all: {written_seconds:.1f} to invent the bills, steps {where}; "
            f"the rest is starting up.",
            style="dim",
        )
    )
    console.print(Text("Your own bill next: README.md, “Five minutes to your own data”."))


def _posted(state: StateStore, width: int, *, is_new: bool) -> list[RenderableType]:
    """The most telling message, as a panel; the others are counted."""
    from alerts.message import message_from_json
    from alerts.terminal import to_terminal

    opened = [letter for letter in state.outbox() if letter["kind"] == "open"]
    if not opened:
        return []
    incidents = {incident["id"]: incident for incident in state.list_incidents()}
    shown = max(opened, key=lambda letter: _tells(incidents.get(letter["incident_id"], {})))
    panel = to_terminal(message_from_json(shown["payload"]["message"]))
    if isinstance(panel, Panel) and panel.width:
        panel.width = min(panel.width, width)
    count = f"1 of {len(opened)}"
    if budgets := sum(incidents.get(letter["incident_id"], {}).get("kind") == "budget" for letter in opened):
        count += f" ({budgets} on budgets)"
    if is_new:
        note = f"as it would be posted, {count}" if len(opened) > 1 else "as it would be posted"
    else:
        note = f"{count}, posted by an earlier run of this demo: nothing is told twice"
    return [_heading("In Slack", note), panel]


def _tells(incident: Mapping[str, Any]) -> tuple[bool, Decimal]:
    """Spend that rose because each success costs more shows most of what a message can say; then the dearest."""
    is_both = incident.get("kind") == "cost" and incident.get("label") == "efficiency"
    return is_both, Decimal(incident.get("excess_usd_per_day") or 0)


def _scorecard(found: Score, width: int) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False, width=min(width, 118))
    table.add_column("", no_wrap=True, width=1)
    table.add_column("planted", ratio=1, overflow="fold")
    table.add_column("began", no_wrap=True, justify="right")
    table.add_column("found from", no_wrap=True, justify="right")
    for planted, incident in found.found:
        table.add_row(
            Text("✓" if incident else "✗", style="green" if incident else "bold red"),
            Text.assemble((planted.node, "bold"), f": {planted.note}"),
            Text(figures.day(planted.onset), style="dim"),
            Text(figures.day(incident["onset"]) if incident else "missed", style="" if incident else "bold red"),
        )
    text = f"{found.recalled} of {len(found.found)} found, {figures.plural(len(found.false), 'false incident')}"
    return Group(_heading("What really happened", text), table)


def render_terminal_summary(data: ReportData, *, width: int) -> RenderableType:
    """Features, forecast, incidents, files and three queries, as one thing to print with `crop=False`.

    `width` is the terminal's, in columns; only paths and commands are longer. No text of `data` is
    read as console markup.
    """
    parts: list[RenderableType] = [
        *_features(data, width),
        *_forecast(data.forecast),
        *_incidents(data, width),
        *_watches(data),
        *_files(data),
        *_queries(data),
    ]
    return Group(*parts)


def _heading(text: str, note: str = "") -> Text:
    line = Text("\n" + text, style="bold")
    if note:
        line.append(f"  {note}", style="not bold dim")
    return line


def _features(data: ReportData, width: int) -> list[RenderableType]:
    is_wide = width >= _WIDE
    total = data.total_cost_usd
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    table.add_column("\nfeature", no_wrap=True, overflow="ellipsis", max_width=22)
    if is_wide:
        table.add_column(f"\n{max((len(row.daily_cost) for row in data.features), default=0)} days", no_wrap=True)
    for header in (
        f"cost\n{data.cost_days} days",
        "\nshare",
        f"vs {data.cost_days}\nbefore",
        "per\nsuccess",
        f"vs {data.unit_baseline_days}\nbefore",
        "\nsucceed",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    alarmed = {row.node for row in data.incidents}
    rows = data.by_cost()
    for index, row in enumerate(rows):
        table.add_row(*_feature_cells(row, total, row.feature in alarmed, is_wide))
        if row.kind != "shared" and (index + 1 == len(rows) or rows[index + 1].kind == "shared"):
            change = figures.change(total, data.previous_total_cost_usd)
            cells = [Text("together", style="bold"), Text(figures.usd(total), style="bold"), Text(""), _changed(change)]
            if is_wide:
                cells.insert(1, Text(""))
            table.add_row(*cells, end_section=True)
    note = f"through {figures.day(data.data_through)}; per success over {data.unit_days} days"
    parts: list[RenderableType] = [_heading("What each feature costs", note), table]
    dearest = data.by_unit_cost()
    if dearest:
        line = Text("\nper successful task, the dearest first: ", style="dim")
        for index, row in enumerate(dearest):
            # No-break spaces: a name keeps its figure, and the dot ends a line rather than begins one.
            line.append("\u00a0· " if index else "", style="dim")
            line.append(f"{clean(row.feature)}\u00a0", style="not dim")
            line.append(figures.usd(row.cost_per_success_usd), style="not dim bold")
        parts.append(line)
    return parts


def _feature_cells(row: FeatureRow, total: Decimal, is_alarmed: bool, is_wide: bool) -> list[Text]:
    name = Text(clean(row.feature), style="" if row.kind == "feature" else "dim")
    if is_alarmed:
        name.append(" ●", style="red")
    share = "" if row.kind == "shared" else figures.percent(row.cost_usd / total if total > 0 else None)
    unit_change = figures.change(row.cost_per_success_usd, row.previous_cost_per_success_usd)
    known = row.kind == "feature"
    cells = [
        name,
        Text(figures.usd(row.cost_usd)),
        Text(share, style="dim"),
        # Tax and support come once a month: a change from 30 days to 30 days would say nothing.
        _changed(figures.change(row.cost_usd, row.previous_cost_usd)) if row.kind != "shared" else Text(""),
        Text(figures.usd(row.cost_per_success_usd) if known else ""),
        _changed(unit_change) if known else Text(""),
        Text(figures.percent(row.success_rate) if known else "", style="dim"),
    ]
    if is_wide:
        cells.insert(1, Text(sparkline(row.daily_cost, 15), style="red" if is_alarmed else "cyan"))
    return cells


def _changed(change: Decimal | None) -> Text:
    text = figures.signed_percent(change)
    if change is None or abs(change) < _QUIET_CHANGE:
        return Text(text, style="dim")
    return Text(text, style="red" if change > 0 else "green")


def sparkline(series: tuple[float | None, ...], columns: int) -> str:
    """`columns` block characters: weekly means at equal distances, scaled between the least and the most."""
    weekly = moving_mean(series, 7)[6:]
    if len(weekly) < columns:
        return ""
    means = [weekly[round(column * (len(weekly) - 1) / (columns - 1))] for column in range(columns)]
    known_means = [mean for mean in means if mean is not None]
    if not known_means:
        return ""
    high = max(known_means)
    # A few percent of noise stay low: the lowest block stands for well below the least mean.
    low = min(known_means) - max(0.35 * (high - min(known_means)), 0.3 * abs(high), 1e-9)
    top = len(_SPARK_LEVELS) - 1
    return "".join(
        " " if mean is None else _SPARK_LEVELS[min(top, round((mean - low) / (high - low) * top))] for mean in means
    )


def _forecast(forecast: MonthForecast | None) -> list[RenderableType]:
    if forecast is None:
        return [_heading("Month end"), Text("too little history for a forecast", style="dim")]
    line = Text()
    line.append(figures.usd(forecast.month_to_date_usd), style="bold")
    line.append(f" so far in {forecast.month:%B}; ")
    line.append(figures.usd(forecast.total_usd), style="bold")
    line.append(" expected at month end, ")
    line.append(
        f"{figures.percent(forecast.level)} sure between {figures.usd(forecast.lower_usd)} "
        f"and {figures.usd(forecast.upper_usd)}"
    )
    lines: list[RenderableType] = [_heading("Month end"), line]
    if forecast.budget_usd is not None:
        over = forecast.total_usd - forecast.budget_usd
        budget = Text(f"budget {figures.usd(forecast.budget_usd)}: ")
        budget.append(
            f"{figures.usd(abs(over))} {'over' if over > 0 else 'under'}",
            style="bold red" if over > 0 else "bold green",
        )
        if forecast.over_budget_probability is not None:
            budget.append(f", {figures.likely(forecast.over_budget_probability)} to be exceeded", style="dim")
        lines.append(budget)
    return lines


def _watches(data: ReportData) -> list[RenderableType]:
    if not data.watches:
        return []
    lines: list[RenderableType] = [_heading("What else is open", figures.plural(len(data.watches), "incident"))]
    for heading, rows in group_watches(data.watches):
        lines.append(Text(heading, style="dim"))
        lines += [
            Text.assemble((f"{row.severity:<8}", _SEVERITY_STYLES[row.severity]), clean(row.title)) for row in rows
        ]
    return lines


def _incidents(data: ReportData, width: int) -> list[RenderableType]:
    rows = data.by_severity()
    if not rows:
        return [_heading("What broke trend"), Text("nothing: every feature is on its trend", style="green")]
    heading = _heading("What broke trend", figures.plural(len(rows), "break"))
    if width < _WIDE:
        return [heading, *(part for row in rows for part in _narrow_incident(row))]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False, width=min(width, 118))
    table.add_column("", no_wrap=True, width=6)
    table.add_column("feature", no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column("since", no_wrap=True, justify="right")
    table.add_column("excess", no_wrap=True, justify="right")
    table.add_column("why", ratio=1, overflow="fold")
    for index, row in enumerate(rows):
        table.add_row(
            Text(row.severity, style=_SEVERITY_STYLES[row.severity]),
            Text(clean(row.node), style="bold"),
            Text(figures.day(row.onset), style="dim"),
            Text(_excess(row), style="red" if (row.excess_percent or Decimal(1)) > 0 else "green"),
            Text(clean(row.reason)),
            end_section=index + 1 < len(rows),
        )
    return [heading, table]


def _narrow_incident(row: IncidentRow) -> list[RenderableType]:
    first = Text.assemble(
        (f"{row.severity:<8}", _SEVERITY_STYLES[row.severity]),
        (clean(row.node), "bold"),
        "  ",
        (_excess(row).replace("\n", " "), "red" if (row.excess_percent or Decimal(1)) > 0 else "green"),
        (f"  since {figures.day(row.onset)}", "dim"),
    )
    return [first, Padding(Text(clean(row.reason)), (0, 0, 1, 8))]


def _excess(row: IncidentRow) -> str:
    if row.kind in ("unit_cost", "zero_success") or row.excess_usd_per_day is None:
        if row.excess_percent is None:
            return figures.UNKNOWN
        return f"{figures.signed_percent(row.excess_percent / 100)}\nper success"
    return f"{figures.signed_usd(row.excess_usd_per_day)}/day"


def _files(data: ReportData) -> list[RenderableType]:
    if not data.files:
        return []
    width = max(len(what) for what, _ in data.files)
    return [_heading("Where it is"), *(Unbroken(f"{what:<{width}}  {where}") for what, where in data.files)]


def _queries(data: ReportData) -> list[RenderableType]:
    if not data.queries:
        return []
    lines: list[RenderableType] = [_heading("Try next")]
    for query in data.queries:
        lines.append(Text(clean(query.title), style="dim"))
        lines.append(Unbroken(f"  {query.command}", style="cyan"))
    return lines
