"""The `trendbreak` command. Every heavy import waits until its command runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from flows.commands.options import AsOfOption, ConfigOption
from flows.commands.terminal import clean, launcher
from flows.commands.whatif_commands import whatif_app
from flows.errors import FlowError

app = typer.Typer(
    name="trendbreak",
    help="What every AI feature costs, and a Slack alert the day a feature's cost breaks trend.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
_FIRST_YEAR, _LAST_YEAR = 2000, 2199
out = Console()
err = Console(stderr=True)

incidents_app = typer.Typer(help="The ledger of incidents, and the answers that Slack's buttons give.")
slack_app = typer.Typer(help="Set Slack up: the app's manifest, a sample message, the button listener.")
app.add_typer(incidents_app, name="incidents")
app.add_typer(slack_app, name="slack")
tags_app = typer.Typer(help="The rules of features.yml: what they take, and what others would.")
app.add_typer(tags_app, name="tags")
invoice_app = typer.Typer(help="Invoice totals, and what explains their difference from the charges.")
app.add_typer(invoice_app, name="invoice")
prices_app = typer.Typer(help="What models cost: list prices, your own, and what others would make of the bill.")
app.add_typer(prices_app, name="prices")
app.add_typer(whatif_app, name="whatif")
action_app = typer.Typer(help="What was done to save, and what came of it.")
app.add_typer(action_app, name="action")

DirectOption = Annotated[bool, typer.Option("--direct", help="The same steps without Prefect: a few seconds faster.")]


@app.callback()
def _before_every_command(
    log_format: Annotated[
        str | None, typer.Option("--log-format", help="Log events of runs to stderr as text or json. [default: none]")
    ] = None,
) -> None:
    from flows.logs import configure

    try:
        configure(log_format)
    except ValueError as error:
        raise FlowError(str(error)) from None


@app.command()
def demo(
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another company.")] = 7,
    home: Annotated[Path | None, typer.Option(help="Where the demo keeps its files. [default: demo/seed-N]")] = None,
    direct: DirectOption = False,
) -> None:
    """Run the daily flow over an invented company's bills: no credentials needed."""
    from flows.demo.play import play

    play(seed=seed, home=home, direct=direct, console=out)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write trendbreak.yml and features.yml.")] = Path("."),
) -> None:
    """Write a commented trendbreak.yml and features.yml to start from."""
    from flows.starter import write_starter

    for path in write_starter(folder):
        out.print(f"wrote {path}", markup=False, soft_wrap=True)
    # A path of this folder would be wrong in the other one.
    name = launcher() if folder == Path(".") else "trendbreak"
    enter = "" if folder == Path(".") else f"`cd {shlex.quote(str(folder))}`, "
    out.print(
        f"next: {enter}edit both files, put a bill into inbox/; then `{name} check`, then `{name} run`",
        markup=False,
        soft_wrap=True,
    )


@app.command()
def check(config: ConfigOption = None) -> None:
    """Test every source, the features file and Slack; say what to fix. Exit code 1 if anything fails."""
    from flows.commands.check import check_all

    failed = 0
    for subject, result in check_all(*_settings(config)):
        failed += not result.ok
        mark, style = ("ok  ", "green") if result.ok else ("FAIL", "bold red")
        line = Text.assemble((mark, style), clean(f" {subject}: {result.name} — {result.detail}"))
        out.print(line, soft_wrap=True)
        if result.cure and not result.ok:
            out.print(Text(clean(f"     cure: {result.cure}")), soft_wrap=True)
    if failed:
        raise typer.Exit(1)


@app.command()
def run(
    config: ConfigOption = None,
    as_of: AsOfOption = None,
    source: Annotated[str | None, typer.Option(help="Ingest only this source.")] = None,
    direct: DirectOption = False,
    hourly: Annotated[
        bool, typer.Option("--hourly", help="Only the last hours of usage, told as estimates until the bill comes.")
    ] = False,
) -> None:
    """Ingest, build, forecast, detect, publish and deliver, once."""
    from flows.commands.once import run_once

    path, settings = _settings(config)
    run_once(path, settings, as_of=_day(as_of), source=source, direct=direct, hourly=hourly, console=out)


@app.command()
def backfill(
    since: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first UTC day.")],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The last UTC day, which is read too.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept in ops.backfills.")] = "",
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be fetched and what it costs.")] = False,
    as_of: AsOfOption = None,
    config: ConfigOption = None,
) -> None:
    """Read past days again, month by month. Killed or failed, the same command goes on where it was."""
    from flows.commands.backfill import show_backfill, show_plan

    settings = _settings(config)[1]
    days = (since.date(), until.date())
    if dry_run:
        show_plan(settings, *days, source=source, as_of=_day(as_of), console=out)
        return
    show_backfill(settings, *days, reason=reason, source=source, as_of=_day(as_of), console=out)


@app.command()
def backup(
    location: Annotated[str, typer.Argument(help="A folder, or s3://bucket/prefix.")],
    with_landing: Annotated[bool, typer.Option("--with-landing", help="The landed payloads too.")] = False,
    keep: Annotated[int | None, typer.Option(min=1, help="Remove the oldest until so many are left.")] = None,
    config: ConfigOption = None,
) -> None:
    """Back up the warehouse, the state and landing's index, all of one moment; waits for a run to end."""
    from flows.keeping.backup import back_up

    made = back_up(_settings(config)[1], location, with_landing=with_landing, keep=keep)
    out.print(f"{made.name}: {len(made.files)} files, {made.size_bytes:,} bytes", markup=False, soft_wrap=True)


@app.command()
def restore(
    location: Annotated[str, typer.Argument(help="Where the backups are: a folder, or s3://bucket/prefix.")],
    at: Annotated[str | None, typer.Option(help="The backup's name. [default: the newest]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what the home holds.")] = False,
    config: ConfigOption = None,
) -> None:
    """Put a backup in the home's place, after comparing every byte with its manifest, and publish it."""
    from flows.keeping.backup import restore as restore_backup

    done = restore_backup(_settings(config)[1], location, name=at, force=force)
    out.print(f"restored {done.name} of {done.created_at:%Y-%m-%d %H:%M} UTC", markup=False, soft_wrap=True)
    if done.missing:
        out.print(
            f"{len(done.missing)} landed deliveries are not in this home: what is loaded is whole, but a rebuild needs "
            "them — copy the old landing folder here, or backfill",
            markup=False,
            soft_wrap=True,
        )


@app.command()
def maintain(config: ConfigOption = None) -> None:
    """Remove landed deliveries that others replaced long ago, and back up where `backup.location` says."""
    from flows.keeping.maintain import maintain as run_maintenance

    for line in run_maintenance(_settings(config)[1]):
        out.print(line, markup=False, soft_wrap=True)


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Run the daily flow on its schedule in this process, with the Prefect server it needs."""
    from flows.serving.serve import serve as serve_schedules

    path, settings = _settings(config)
    serve_schedules(path, settings, say=lambda text: out.print(text, markup=False, soft_wrap=True))


@app.command()
def query(
    sql: Annotated[str | None, typer.Argument(help="One SELECT, or the name of a canned query (see --list).")] = None,
    config: ConfigOption = None,
    home: Annotated[Path | None, typer.Option(help="Query this home, without a configuration file.")] = None,
    format: Annotated[str, typer.Option("--format", "-f", help="table, csv, json, parquet or markdown.")] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=86400, help="Stop the query after this many seconds.")] = 30.0,
    memory: Annotated[str, typer.Option(help="Stop the query when it needs more than this.")] = "512MB",
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Let the SQL read and write files and the network, without a memory limit.")
    ] = False,
    at: Annotated[
        str | None, typer.Option(help="On a DuckLake: as it was published by the end of this UTC day, or by this time.")
    ] = None,
    list_queries: Annotated[bool, typer.Option("--list", help="Show the canned queries.")] = False,
) -> None:
    """Ask the published snapshot. Read-only; works while a run is writing."""
    from flows.commands.query import list_canned, run_adhoc
    from flows.lake import read_moment

    if list_queries or sql is None:
        list_canned(out)
        return
    if home is not None and at is not None:
        raise FlowError("--at asks the DuckLake of a configuration file — leave --home out")
    past = None if at is None else (_settings(config)[1], read_moment(at))
    root = home if home is not None else past[0].home if past is not None else _reading(config).home
    run_adhoc(
        sql,
        root,
        fmt=format,
        output=output,
        timeout_seconds=timeout,
        memory_limit=memory,
        unsafe=unsafe,
        at=past,
    )


@tags_app.command("check")
def tags_check(config: ConfigOption = None) -> None:
    """Rules that take nothing, overlaps, and the largest untagged spend. Exit code 1 when a rule takes nothing."""
    from flows.commands.tags import show_check

    if not show_check(_settings(config)[1], out):
        raise typer.Exit(1)


NewFeaturesArgument = Annotated[Path, typer.Argument(metavar="NEW.yml", help="Another features.yml.")]


@tags_app.command("diff")
def tags_diff(new: NewFeaturesArgument, config: ConfigOption = None) -> None:
    """Each feature's months under the rules of today and under NEW.yml. Changes nothing."""
    from flows.commands.tags import show_diff

    show_diff(_settings(config)[1], new, out)


@tags_app.command("apply")
def tags_apply(new: NewFeaturesArgument, config: ConfigOption = None) -> None:
    """Put NEW.yml in the place of features.yml, allocate all history by it, publish, and record what it moved."""
    from flows.commands.tags import apply_features

    apply_features(_settings(config)[1], new, out)


@app.command()
def rebuild(as_of: AsOfOption = None, config: ConfigOption = None) -> None:
    """Make the warehouse anew from what was landed, and publish it. No source is asked; the state store stays."""
    from flows.commands.rebuild import rebuild as rebuild_warehouse

    if not rebuild_warehouse(_settings(config)[1], out, as_of=_day(as_of)):
        raise typer.Exit(1)


@app.command()
def close(
    month: Annotated[str | None, typer.Argument(metavar="YYYY-MM", help="[default: list what is closed]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also when a day of it is not settled yet.")] = False,
    config: ConfigOption = None,
) -> None:
    """Close a month: its figures stay, and what changes of them later is a correction in the open month."""
    from flows.commands.close import close_month, list_closed, read_month

    settings = _settings(config)[1]
    if month is None:
        list_closed(settings, out)
        return
    close_month(settings, read_month(month), out, force=force)


@invoice_app.command("add")
def invoice_add(
    source: Annotated[str, typer.Argument(help="The source that delivers the charges.")],
    month: Annotated[str, typer.Argument(metavar="YYYY-MM", help="The billing month.")],
    amount: Annotated[str, typer.Argument(help="The invoice's total as billed: 1234.56")],
    currency: Annotated[str, typer.Argument(help="ISO code: USD")],
    account: Annotated[str, typer.Option(help="The billing account. [default: all of the source]")] = "",
    config: ConfigOption = None,
) -> None:
    """Record an invoice's total, compare it with the charges, and say what explains the difference."""
    from flows.commands.invoice import add_invoice

    add_invoice(_settings(config)[1], source, month, amount, currency, out, account=account)


@invoice_app.command("list")
def invoice_list(config: ConfigOption = None) -> None:
    """Every invoice beside its charges, as the last build compared them."""
    from flows.commands.invoice import list_invoices

    list_invoices(_settings(config)[1], out)


@app.command()
def status(config: ConfigOption = None) -> None:
    """Sources, coverage, last runs, open incidents. Exit code 1: a source is late, a run failed or an alert waits."""
    from datetime import UTC

    from flows.commands.status import show_status

    if not show_status(_reading(config), out, now=datetime.now(UTC)):
        raise typer.Exit(1)


@app.command()
def forget(
    source: Annotated[str, typer.Argument(help="The source whose charges go.")],
    delivery: Annotated[str | None, typer.Argument(help="Only this delivery: a file's name, a period.")] = None,
    config: ConfigOption = None,
) -> None:
    """Take out of the warehouse what a source, or one of its files, has said. The landed bytes stay."""
    from flows.commands.standing import forget_source

    forget_source(_settings(config)[1], source, delivery, out)


@app.command()
def rename(
    old: Annotated[str, typer.Argument(help="The name that trendbreak.yml had.")],
    new: Annotated[str, typer.Argument(help="The name that it has now.")],
    config: ConfigOption = None,
) -> None:
    """Keep the charges of a source whose name has changed in trendbreak.yml."""
    from flows.commands.standing import rename_source

    rename_source(_settings(config)[1], old, new, out)


@app.command()
def explain(
    feature: Annotated[str | None, typer.Argument(help="A feature, `unallocated`, or `all features`.")] = None,
    incident: Annotated[str | None, typer.Option(help="The days and the feature of this incident.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day. [default: of the last 7 settled ones]")
    ] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, included.")] = None,
    against_since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day compared with. [default: the 28 before]")
    ] = None,
    against_until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Its last day, included.")
    ] = None,
    format: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    config: ConfigOption = None,
) -> None:
    """Why a feature's cost changed: parts that add up, who moved, what is new, what was expected, and the SQL."""
    from flows.commands.explain import show_explanation
    from flows.explain import explain as explain_change

    found = explain_change(
        _settings(config)[1],
        feature=feature,
        incident_id=incident,
        after=(_day(since), _day(until)),
        before=(_day(against_since), _day(against_until)),
    )
    show_explanation(found, out, fmt=format)


@app.command()
def forecast(
    feature: Annotated[str | None, typer.Argument(help="One feature. [default: all]")] = None,
    config: ConfigOption = None,
    format: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    coverage: Annotated[bool, typer.Option("--coverage", help="How past forecasts have held, as issued.")] = False,
) -> None:
    """What each feature will cost: this month, next month, the next 90 days, each with its own interval."""
    from flows.commands.outlook import show_coverage, show_forecast

    settings = _reading(config)
    if coverage:
        show_coverage(settings, fmt=format)
    else:
        show_forecast(settings, out, feature=feature, fmt=format)


@app.command()
def budget(
    config: ConfigOption = None,
    format: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Exit code 1 above this probability.")] = 0.5,
) -> None:
    """Each budget: pace, expected total, probability and day of going over. Exit code 1 when one probably does."""
    from flows.commands.outlook import show_budgets

    if not show_budgets(_reading(config), out, fmt=format, threshold=threshold):
        raise typer.Exit(1)


@app.command()
def backtest(
    config: ConfigOption = None,
    inject: Annotated[
        bool, typer.Option("--inject", help="Put breaks into the history: recall, delay, alerts.")
    ] = False,
    false_alerts_per_month: Annotated[
        float | None, typer.Option(min=0.01, help="False alerts a month to live with. [default: of trendbreak.yml]")
    ] = None,
) -> None:
    """Try every forecast engine on your own history and keep the best one per feature; --inject tries the detector."""
    from decimal import Decimal

    from flows.backtest import show_backtest, show_injected

    settings = _reading(config)
    if inject:
        budget = None if false_alerts_per_month is None else Decimal(str(false_alerts_per_month))
        show_injected(settings, out, false_alerts_per_month=budget)
    else:
        show_backtest(settings, out, now=datetime.now(UTC))


@app.command()
def report(
    config: ConfigOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file. [default: report/index.html in home]")
    ] = None,
) -> None:
    """Write the report of the published snapshot: one HTML file that needs no network, to forward."""
    from flows.commands.terminal import shown_path
    from flows.report.write import report_again

    written = report_again(_reading(config), output, now=datetime.now(UTC))
    out.print(Text(f"wrote {shown_path(written)}"), soft_wrap=True)


@app.command()
def digest(
    config: ConfigOption = None,
    week: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Any day of it. [default: the newest settled week]")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Only show it here.")] = False,
) -> None:
    """Tell the channel of the week: features, movers, budgets, savings, alerts. Once per week."""
    from flows.digest import show_digest

    settings = _reading(config)
    if not show_digest(settings, out, now=datetime.now(UTC), week=_day(week), only_show=show):
        raise typer.Exit(1)


@app.command()
def deliver(config: ConfigOption = None) -> None:
    """Send what waits in the outbox, such as for the end of the quiet hours."""
    from flows.commands.incidents import show_delivery

    if not show_delivery(_settings(config)[1], out):
        raise typer.Exit(1)


IncidentArgument = Annotated[str, typer.Argument(help="The incident's id.")]


@incidents_app.command("list")
def incidents_list(
    config: ConfigOption = None,
    include_closed: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
) -> None:
    """Open incidents."""
    from flows.commands.incidents import list_incidents

    list_incidents(_settings(config)[1], out, include_closed=include_closed)


@incidents_app.command("show")
def incidents_show(incident: IncidentArgument, config: ConfigOption = None) -> None:
    """One incident as Slack shows it, and its history."""
    from flows.commands.incidents import show_incident

    show_incident(_settings(config)[1], incident, out)


@incidents_app.command("ack")
def incidents_ack(incident: IncidentArgument, config: ConfigOption = None) -> None:
    """Somebody is investigating it."""
    _answer(config, incident, "investigating")


@incidents_app.command("expected")
def incidents_expected(incident: IncidentArgument, config: ConfigOption = None) -> None:
    """It was meant: the new level is the level."""
    _answer(config, incident, "expected")


@incidents_app.command("false-alarm")
def incidents_false_alarm(incident: IncidentArgument, config: ConfigOption = None) -> None:
    """It should not have been told."""
    _answer(config, incident, "false_alarm")


@incidents_app.command("snooze")
def incidents_snooze(
    incident: IncidentArgument,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="[default: a week from today]")] = None,
    config: ConfigOption = None,
) -> None:
    """Nothing more about it until a day."""
    _answer(config, incident, "snooze", until=_day(until))


@incidents_app.command("resolve")
def incidents_resolve(incident: IncidentArgument, config: ConfigOption = None) -> None:
    """It is over."""
    _answer(config, incident, "resolve")


@slack_app.command("test")
def slack_test(config: ConfigOption = None) -> None:
    """Post a sample message to the default channel."""
    from flows.commands.incidents import post_sample

    post_sample(_settings(config)[1], out)


@slack_app.command("manifest")
def slack_manifest() -> None:
    """Print the Slack app's manifest, to paste at api.slack.com/apps."""
    import json

    from alerts.slack import make_manifest

    print(json.dumps(make_manifest(), indent=2))


@slack_app.command("listen")
def slack_listen(config: ConfigOption = None) -> None:
    """Answer the buttons of alerts over Socket Mode, until interrupted."""
    import threading

    from flows.commands.incidents import listen

    listen(_settings(config)[1], stop=threading.Event(), say=lambda text: out.print(text, markup=False))


@prices_app.command("show")
def prices_show(
    model: Annotated[str, typer.Argument(help="A model, or provider/model.")],
    config: ConfigOption = None,
    as_of: AsOfOption = None,
) -> None:
    """The dated prices of a model per million tokens, with your own from prices.yml."""
    from flows.commands.prices import show_prices
    from flows.settings import config_path

    settings = _settings(config)[1] if config is not None or config_path(config).is_file() else None
    show_prices(settings, model, as_of=_day(as_of) or datetime.now(UTC).date(), console=out)


@prices_app.command("diff")
def prices_diff(
    new: Annotated[Path, typer.Argument(help="Another prices.yml.")],
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day. [default: all]")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day after the last.")] = None,
    config: ConfigOption = None,
) -> None:
    """Re-price a period's calls: today's prices beside those of another file. Changes nothing."""
    from flows.commands.prices import diff_prices

    diff_prices(_settings(config)[1], new, since=_day(since), until=_day(until), console=out)


@app.command()
def savings(config: ConfigOption = None) -> None:
    """What could be saved, by dollars a month: waste, caching, batches, routing, quantizing."""
    from flows.commands.savings import show_savings

    show_savings(_reading(config), out)


@action_app.command("add")
def action_add(
    feature: Annotated[str, typer.Option("--feature", "-f", help="The feature it was done to.")],
    kind: Annotated[str, typer.Option(help="route, cache, batch, trim, quantize, selfhost, waste or other.")],
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day. [default: today]")] = None,
    predicted: Annotated[
        str | None, typer.Option(help="Predicted dollars a month: 300..500, as `trendbreak whatif` says.")
    ] = None,
    note: Annotated[str, typer.Option(help="What was done, in words.")] = "",
    config: ConfigOption = None,
) -> None:
    """Record what was done; two weeks later its realised saving stands beside the predicted one."""
    from flows.commands.savings import add_action
    from flows.commands.whatif_commands import read_range
    from flows.run import login_name

    now = datetime.now(UTC)
    add_action(
        _settings(config)[1],
        out,
        feature=feature,
        kind=kind,
        done_on=_day(on) or now.date(),
        predicted=read_range(predicted, "--predicted") if predicted else None,
        note=note,
        who=login_name(),
        now=now,
    )


@action_app.command("list")
def action_list(config: ConfigOption = None) -> None:
    """What was done: predicted and realised savings."""
    from flows.commands.savings import list_actions

    list_actions(_reading(config), out)


def _answer(config: Path | None, incident: str, word: str, *, until: date | None = None) -> None:
    from flows.commands.incidents import answer

    answer(_settings(config)[1], incident, word, out, until=until)


# How `trendbreak --help` groups them; what is not named here stands under "Commands".
_PANELS = {
    "Begin": ("demo", "init", "check", "run", "serve"),
    "Ask": ("query", "report", "forecast", "budget", "explain", "whatif", "savings", "prices", "status"),
    "Decide": ("incidents", "tags", "action", "invoice", "close"),
    "Operate": ("slack", "backfill", "backtest", "backup", "restore", "maintain", "forget", "rename", "rebuild"),
}
_info: Any
for _info in (*app.registered_commands, *app.registered_groups):
    _name = _info.name or getattr(getattr(_info, "callback", None), "__name__", "")
    _info.rich_help_panel = next((panel for panel, names in _PANELS.items() if _name in names), _info.rich_help_panel)


@contextmanager
def _said_plainly() -> Iterator[None]:
    """Errors that a person can mend: the text on stderr, exit code 2 (1 when only a source or an alert failed)."""
    from connectors.errors import ConnectorError
    from flows.errors import RunIncomplete
    from warehouse.errors import WarehouseError, place_cure

    known: tuple[type[Exception], ...] = (FlowError, ConnectorError, WarehouseError)
    try:
        yield
    except RunIncomplete as error:
        err.print(Text(clean(str(error)), style="red"), soft_wrap=True)
        raise SystemExit(1) from None
    except known as error:
        _stop(str(error))
    except OSError as error:  # a folder that may not be written, a full disk
        place = f"{error.filename}: " if error.filename else ""
        cure = place_cure(error)
        _stop(f"{place}{error.strerror or error}" + (f" — {cure}" if cure else ""))


def _stop(text: str) -> NoReturn:
    err.print(Text(f"error: {clean(text)}", style="red"), soft_wrap=True)
    raise SystemExit(2) from None


def _settings(config: Path | None) -> tuple[Path, Any]:
    from flows.settings import config_path, load_settings

    path = config_path(config)
    return path, load_settings(path)


def _reading(config: Path | None) -> Any:
    """The settings of a command that reads what is published: on a DuckLake, the newest of any machine."""
    from flows.lake import bring_published

    settings = _settings(config)[1]
    if problem := bring_published(settings):
        err.print(f"what this machine has: {problem}", markup=False, highlight=False, soft_wrap=True)
    return settings


def _day(moment: datetime | None) -> date | None:
    if moment is None:
        return None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise FlowError(f"--as-of {moment:%Y-%m-%d} is no day of a bill — a day between {_FIRST_YEAR} and {_LAST_YEAR}")
    return moment.date()


def main() -> None:
    """The console script."""
    with _said_plainly():
        app()
