"""trendbreak.yml: one strict file; secrets only as references (flows/settings/references.py).

Reading the file checks every key, but resolves no source and no token: `trendbreak query` needs none, and one
missing secret must not stop the other sources. `connect_source` resolves a source's when it is connected, and
names what is missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from connectors.base import Connector
from connectors.errors import ConnectorError
from connectors.registry import CONNECTORS, connect, connector_class
from flows.errors import SettingsError
from flows.settings.cron import Cron, TimeZone
from flows.settings.errors import explain, nearest
from flows.settings.references import check_references, has_reference, resolve, resolve_address
from flows.settings.strict_yaml import StrictYamlError, load_strict_yaml
from flows.settings.user_ids import with_hash_key

DEFAULT_CONFIG = "trendbreak.yml"
DUCKLAKE = "ducklake:postgres:"
_WEB_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")
_SOURCE_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,62}$")
_TASK_URL = re.compile(r"https://[^\s/<>|\"{}]+/([^\s<>|\"{}]|\{task_id\})*")
_LINK = re.compile(r"https://[^\s/<>|\"{}]+(/[^\s<>|\"{}]*)?")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_CURRENCY = re.compile(r"^[A-Z]{3}$")
# Resolved when they are needed, not when the file is read.
_LAZY = {"sources", "state", "warehouse", "webhook"}
_LAZY_SLACK = {"token", "app_token", "webhook_url"}


def _exact_text(value: object) -> object:
    # YAML reads 1.08 as a float; money never is one.
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return str(value) if isinstance(value, float | int) else value


# Twelve places is what the warehouse keeps; the bound leaves room to multiply.
Money = Annotated[Decimal, BeforeValidator(_exact_text), Field(gt=0, lt=10**12, decimal_places=12)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSettings(BaseModel):
    """One entry of `sources`: name, type, and the keys of that type's own `Options`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str
    type: str
    since: date | None = Field(default=None, description="the first UTC day that counts")
    until: date | None = Field(default=None, description="the first UTC day that counts no more")
    role: Literal["counted", "shadow"] = Field(default="counted", description="a shadow is compared, and in no total")

    @field_validator("name")
    @classmethod
    def _name_is_a_slug(cls, name: str) -> str:
        if not _SOURCE_NAME.match(name):
            raise ValueError(
                "a source name is lower-case letters, digits, '-' and '_', and starts with a letter: "
                "it becomes a folder and a column value"
            )
        return name

    @model_validator(mode="after")
    def _since_comes_first(self) -> SourceSettings:
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError(
                f"until ({self.until}) must be after since ({self.since}): it is the first day not counted"
            )
        return self

    _base: Path = PrivateAttr(default_factory=Path)
    _prefect_home: Path | None = PrivateAttr(default=None)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        # What a key holds, the demo's secrets and addresses with a password among it, is not shown.
        return [("name", self.name), ("type", self.type), ("keys", sorted(self.options))]

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    def resolved(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """The options with every reference replaced. Raises SettingsError naming the key and what is missing."""
        options = {
            key: resolve(value, environment, f"source {self.name!r}, {key}", prefect_home=self._prefect_home)
            for key, value in self.options.items()
        }
        if isinstance(location := options.get("location"), str):
            options["location"] = _anchored(location, self._base, f"source {self.name!r}, location")
        return options


class SlackSettings(_Strict):
    """Without a token the messages go to a folder and the terminal; with an app token, buttons work too."""

    token: SecretStr | None = Field(default=None, description="the bot token, xoxb-…")
    app_token: SecretStr | None = Field(default=None, description="the app-level token for buttons, xapp-…")
    channel: str = "#ai-costs"
    base_url: str = "https://slack.com/api/"
    webhook_url: SecretStr | None = Field(
        default=None,
        description="an incoming webhook: instead of the bot without a token, else told when the bot fails",
    )


class WebhookSettings(_Strict):
    """Every message as signed JSON to an address of your own, at least once."""

    url: SecretStr
    secret: SecretStr = Field(description="signs each call: header X-Trendbreak-Signature")


def _clock_time(value: object) -> object:
    # Unquoted, YAML reads 22:00 as the number 1320.
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise ValueError('must be a time in quotes, such as "22:00"')
    return time.fromisoformat(value)


ClockTime = Annotated[time, BeforeValidator(_clock_time)]


class QuietHoursSettings(_Strict):
    """When no new thread begins; what waits goes out afterwards, in order."""

    start: ClockTime = Field(alias="from")
    until: ClockTime
    timezone: TimeZone = "UTC"
    high_passes: bool = Field(default=True, description="incidents of high severity do not wait")

    @model_validator(mode="after")
    def _is_a_part_of_the_day(self) -> QuietHoursSettings:
        if self.start == self.until:
            raise ValueError("from and until are the same time — leave quiet_hours out to have none")
        return self


class AlertSettings(_Strict):
    """What is worth a message. The gates come after statistical significance."""

    min_usd_per_day: Money = Decimal("20")
    min_percent: Money = Decimal("15")
    false_alerts_per_month: Money = Decimal("2")
    late_days: int = Field(default=3, ge=1, le=60, description="a source this many days behind is an incident")
    max_untagged_percent: Money = Field(
        default=Decimal("50"), description="of AI spend; a rise beyond it is an incident"
    )
    budget_breach_percent: Money = Field(
        default=Decimal("80"), description="a budget as likely as this to be broken is an incident"
    )
    quiet_hours: QuietHoursSettings | None = None
    daily_messages: int | None = Field(
        default=None, ge=1, le=1000, description="new threads per channel and day; the rest in one message"
    )
    digest_below_usd_per_day: Money | None = Field(
        default=None, description="smaller incidents are only listed in the weekly digest"
    )
    task_url: str | None = Field(default=None, description="where a task can be seen: https://…/{task_id}")

    @field_validator("task_url")
    @classmethod
    def _names_a_task(cls, address: str | None) -> str | None:
        if address is not None and not (_TASK_URL.fullmatch(address) and address.count("{task_id}") == 1):
            raise ValueError(
                'must be an https address with {task_id} in it, such as "https://traces.example.com/{task_id}"'
            )
        return address


class ScheduleSettings(_Strict):
    """When `trendbreak serve` runs what. Exports of a day are in by mid-morning UTC."""

    cron: Cron = Field(default="30 9 * * *", description="the daily flow")
    hourly: Cron | None = Field(default=None, description='the estimated lane, such as "15 * * * *"; by hand without')
    digest: Cron = Field(default="0 10 * * 3", description="the weekly digest, once the week's days are settled")
    backtest: Cron = Field(default="0 5 * * 0", description="which forecast engine is used for which feature")
    maintenance: Cron = Field(default="0 4 * * 0", description="retention and backup")
    timezone: TimeZone = "UTC"


class MetricsSettings(_Strict):
    """Where `trendbreak serve` answers /metrics and /healthz; nowhere without a port. The file is always written."""

    port: int | None = Field(default=None, ge=1, le=65535)
    host: str = "127.0.0.1"


class RetentionSettings(_Strict):
    """How long what is no longer needed is kept. What a rebuild needs is never removed."""

    superseded_days: int | None = Field(default=90, ge=1, description="landed deliveries that others replaced")
    flow_run_days: int | None = Field(default=90, ge=1, description="flow runs in the home's own Prefect database")
    snapshot_days: int = Field(default=90, ge=1, description="how far back a DuckLake can be asked")


class BackupSettings(_Strict):
    """Where the maintenance flow backs up to (a folder or s3://…), and how many backups stay there."""

    location: str | None = None
    keep: int = Field(default=7, ge=1)
    with_landing: bool = Field(default=False, description="the landed payloads too, not only their index")


class CommitmentSettings(_Strict):
    """Prepaid credits, or a commitment to spend, at one source; marts.commitments counts it down."""

    name: str
    source: str
    kind: Literal["prepaid_credits", "spend_commitment"]
    granted_usd: Money = Field(gt=0)
    valid_from: date
    valid_to: date | None = None
    provider: str | None = None


class LakeSettings(_Strict):
    """Where the DuckLake that `warehouse` names keeps its data. S3's credentials come from boto3's own chain."""

    data_path: str | None = Field(default=None, description="a folder or s3://bucket/prefix; default: lake in home")
    region: str | None = None
    endpoint_url: str | None = Field(default=None, description="another S3 than AWS's")
    catalogue_schema: str = Field(default="trendbreak", pattern=r"^[a-z_][a-z0-9_]{0,47}$")

    @field_validator("data_path")
    @classmethod
    def _folder_or_bucket(cls, data_path: str | None) -> str | None:
        scheme, found, rest = (data_path or "").partition("://")
        if found and (scheme != "s3" or not rest.strip("/")):
            raise ValueError("must be a folder or s3://bucket/prefix")
        return data_path

    @field_validator("endpoint_url")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        if address is not None and not re.fullmatch(r"https?://[^\s/]+/?", address):
            raise ValueError("must be http(s)://host or http(s)://host:port")
        return address


class RateSettings(_Strict):
    """US dollars per unit of a currency, from a day on."""

    currency: str
    valid_from: date
    usd_per_unit: Money

    @field_validator("currency")
    @classmethod
    def _three_letters(cls, currency: str) -> str:
        if not _CURRENCY.match(currency):
            raise ValueError("must be three capital letters, such as EUR")
        return currency


class Settings(_Strict):
    """The whole file. Relative paths are relative to the file's folder."""

    organization: str = Field(default="Your company", description="whose costs these are; the report's headline")
    home: Path = Path("data")
    sources: tuple[SourceSettings, ...] = ()
    features: Path = Path("features.yml")
    events: Path | None = Field(default=None, description="planned launches, migrations, price changes: events.yml")
    prices: Path | None = Field(default=None, description="negotiated prices, prices.yml; default: list prices")
    slack: SlackSettings = SlackSettings()
    webhook: WebhookSettings | None = None
    alerts: AlertSettings = AlertSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    currency_rates: tuple[RateSettings, ...] = ()
    commitments: tuple[CommitmentSettings, ...] = ()
    retention: RetentionSettings = RetentionSettings()
    backup: BackupSettings = BackupSettings()
    metrics: MetricsSettings = MetricsSettings()
    report_url: str | None = Field(
        default=None, description="where people open what lies in home/report: the digest links to it"
    )
    backfill_days: int = Field(default=120, ge=1, le=1200, description="how far the first run reaches back")
    state: str | None = Field(default=None, repr=False, description="state store URL; default: SQLite in home")
    warehouse: str | None = Field(
        default=None, repr=False, description="ducklake:postgres:…, a DuckLake; default: a DuckDB file in home"
    )
    lake: LakeSettings = LakeSettings()
    _file: Path | None = PrivateAttr(default=None)

    @field_validator("report_url")
    @classmethod
    def _is_a_link(cls, address: str | None) -> str | None:
        if address is not None and not _LINK.fullmatch(address):
            raise ValueError('must be an https address, such as "https://costs.example.com/report/index.html"')
        return address

    @field_validator("warehouse")
    @classmethod
    def _is_a_ducklake(cls, address: str | None) -> str | None:
        # Not shown: a password may stand in it.
        if address is not None and not (address.startswith(DUCKLAKE) and address.removeprefix(DUCKLAKE).strip()):
            raise ValueError(f'must be "{DUCKLAKE}host=… dbname=… user=…"; without it the warehouse is a file in home')
        return address

    @model_validator(mode="after")
    def _lake_has_a_catalogue(self) -> Settings:
        if self.warehouse is None and self.lake != LakeSettings():
            raise ValueError(f'lake has no meaning without warehouse: "{DUCKLAKE}…"')
        return self

    @property
    def file(self) -> Path | None:
        """The configuration file, as it was named; None for settings that were made in code."""
        return self._file

    @property
    def state_url(self) -> str:
        """Raises SettingsError when it refers to what is not set."""
        if self.state is None:
            return f"sqlite:///{self.home / 'state.sqlite'}"
        return resolve_address(self.state, os.environ, "state", prefect_home=self.home / "prefect")

    def source(self, name: str) -> SourceSettings:
        for source in self.sources:
            if source.name == name:
                return source
        raise SettingsError(f"no source is named {name!r}{nearest(name, [s.name for s in self.sources])}")


def connect_source(source: SourceSettings, environment: Mapping[str, str], *, home: Path | None = None) -> Connector:
    """The source's connector, with its references resolved. Raises SettingsError or ConfigError.

    `home`: whose own key hashes the users of telemetry where no key is configured; it is made if need be.
    """
    try:
        options = source.resolved(environment)
        if home is not None:
            options = with_hash_key(connector_class(source.type), options, home, environment)
        return connect(source.type, name=source.name, options=options)
    except ValidationError as error:
        model = connector_class(source.type).Options
        raise SettingsError(explain("once resolved", _problems(error), model)) from None


def slack_token(settings: Settings, environment: Mapping[str, str]) -> SecretStr | None:
    """The bot token, resolved; None when none is configured. Raises SettingsError when what it refers to is missing."""
    return _secret(settings, settings.slack.token, environment, "slack.token")


def incoming_webhook(settings: Settings, environment: Mapping[str, str]) -> SecretStr | None:
    """The address of Slack's incoming webhook, resolved, as `slack_token`."""
    return _address(
        _secret(settings, settings.slack.webhook_url, environment, "slack.webhook_url"), "slack.webhook_url"
    )


def signed_webhook(settings: Settings, environment: Mapping[str, str]) -> tuple[SecretStr, SecretStr] | None:
    """(address, secret) of the signed webhook, resolved; None when none is configured."""
    if settings.webhook is None:
        return None
    address = _address(_secret(settings, settings.webhook.url, environment, "webhook.url"), "webhook.url")
    secret = _secret(settings, settings.webhook.secret, environment, "webhook.secret")
    assert address is not None
    assert secret is not None
    return address, secret


def _address(secret: SecretStr | None, where: str) -> SecretStr | None:
    # The address is itself a secret: it is not in the text.
    if secret is not None and not _WEB_ADDRESS.fullmatch(secret.get_secret_value()):
        raise SettingsError(f"{where}: not an address — write https://…")
    return secret


def app_token(settings: Settings, environment: Mapping[str, str]) -> SecretStr | None:
    """The app-level token, resolved, as `slack_token`."""
    return _secret(settings, settings.slack.app_token, environment, "slack.app_token")


def _secret(
    settings: Settings, secret: SecretStr | None, environment: Mapping[str, str], where: str
) -> SecretStr | None:
    if secret is None:
        return None
    return SecretStr(resolve(secret.get_secret_value(), environment, where, prefect_home=settings.home / "prefect"))


def config_path(given: Path | None) -> Path:
    """The file of `--config`, else of TRENDBREAK_CONFIG, else ./trendbreak.yml."""
    return given or Path(os.environ.get("TRENDBREAK_CONFIG") or DEFAULT_CONFIG)


def load_settings(path: Path) -> Settings:
    """Read and check the file. Raises SettingsError naming the key, with the nearest valid name."""
    raw = _read(path)
    try:
        check_references(raw, "")
        raw = _resolve_plain(raw, os.environ)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        raise SettingsError(explain(str(path), _problems(error), Settings)) from None
    _check_sources(path, settings)
    _check_money(path, settings)
    _refuse_literal_secrets(path, settings)
    base = path.resolve().parent
    home = _absolute(settings.home, base, f"{path}: home")
    if home.exists() and not home.is_dir():
        raise SettingsError(f"{path}: home: {home} is a file — name a folder")
    features = _absolute(settings.features, base, f"{path}: features")
    if features.is_dir():
        raise SettingsError(f"{path}: features: {features} is a folder — name the file in it, such as features.yml")
    placed = settings.model_copy(
        update={
            "home": home,
            "features": features,
            "events": None if settings.events is None else _absolute(settings.events, base, f"{path}: events"),
            "lake": _placed_lake(settings.lake, base, f"{path}: lake.data_path"),
            "prices": _absolute(settings.prices, base, f"{path}: prices") if settings.prices else None,
            "sources": tuple(_placed(source, base, home, path) for source in settings.sources),
        }
    )
    placed._file = path
    return placed


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = load_strict_yaml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: no such file — check the path; `trendbreak init` writes a commented trendbreak.yml"
        ) from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text — save it as UTF-8") from None
    except StrictYamlError as error:
        raise SettingsError(f"{path}: {error}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: the file must be a mapping with keys such as `home` and `sources`")
    return raw


def _resolve_plain(raw: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """References in what every command needs, such as `home`."""
    resolved = {}
    for key, value in raw.items():
        if key == "slack" and isinstance(value, dict):
            resolved[key] = {
                name: text if name in _LAZY_SLACK else resolve(text, environment, f"slack.{name}")
                for name, text in value.items()
            }
        else:
            resolved[key] = value if key in _LAZY else resolve(value, environment, str(key))
    return resolved


def _absolute(path: Path, base: Path, where: str) -> Path:
    """A relative path starts at the configuration file's folder, wherever the command runs."""
    try:
        return base / path.expanduser()
    except RuntimeError:
        raise SettingsError(f"{where}: {path}: there is no such user's home — write the whole path") from None


def _anchored(location: str, base: Path, where: str) -> str:
    return location if "://" in location or not location.strip() else str(_absolute(Path(location), base, where))


def _placed_lake(lake: LakeSettings, base: Path, where: str) -> LakeSettings:
    if lake.data_path is None:
        return lake
    return lake.model_copy(update={"data_path": _anchored(lake.data_path, base, where)})


def _placed(source: SourceSettings, base: Path, home: Path, path: Path) -> SourceSettings:
    location = source.options.get("location")
    if isinstance(location, str) and not has_reference(location):
        where = f"{path}: source {source.name!r}, location"
        source = SourceSettings(**{**source.model_dump(), "location": _anchored(location, base, where)})
    source._base = base
    source._prefect_home = home / "prefect"
    return source


def _check_sources(path: Path, settings: Settings) -> None:
    seen: set[str] = set()
    for index, source in enumerate(settings.sources):
        where = f"{path}: sources[{index}] ({source.name})"
        if source.name in seen:
            raise SettingsError(f"{where}: the name {source.name!r} is used twice — names must differ")
        seen.add(source.name)
        if source.type not in CONNECTORS:
            raise SettingsError(
                f"{where}: unknown type {source.type!r}{nearest(source.type, CONNECTORS)} "
                f"— valid types: {', '.join(sorted(CONNECTORS))}"
            )
        _check_options(path, source, f"sources[{index}] ({source.name})")


def _check_money(path: Path, settings: Settings) -> None:
    seen: dict[tuple[str, date], Decimal] = {}
    for index, rate in enumerate(settings.currency_rates):
        where = f"{path}: currency_rates[{index}] ({rate.currency})"
        if rate.currency == "USD" and rate.usd_per_unit != 1:
            raise SettingsError(f"{where}: a US dollar is one US dollar — leave it out")
        earlier = seen.setdefault((rate.currency, rate.valid_from), rate.usd_per_unit)
        if earlier != rate.usd_per_unit:
            raise SettingsError(
                f"{where}: {rate.usd_per_unit} and {earlier} are both valid from {rate.valid_from} — keep one of them"
            )
    names = [source.name for source in settings.sources]
    for index, one in enumerate(settings.commitments):
        where = f"{path}: commitments[{index}] ({one.name})"
        if one.source not in names:
            raise SettingsError(f"{where}: no source is named {one.source!r}{nearest(one.source, names)}")
        if one.valid_to is not None and one.valid_to < one.valid_from:
            raise SettingsError(f"{where}: valid_to {one.valid_to} is before valid_from {one.valid_from}")


DEMO_SECRET = "demo-"  # so begins what opens nothing but the demo's own stand-ins


def _refuse_literal_secrets(path: Path, settings: Settings) -> None:
    """This file is committed, copied and backed up: what is secret stands elsewhere."""
    hook, slack = settings.webhook, settings.slack
    written = [
        ("slack.token", "SLACK_BOT_TOKEN", slack.token),
        ("slack.app_token", "SLACK_APP_TOKEN", slack.app_token),
        ("slack.webhook_url", "SLACK_WEBHOOK_URL", slack.webhook_url),
        ("webhook.secret", "WEBHOOK_SECRET", hook.secret if hook else None),
    ]
    for index, source in enumerate(settings.sources):
        for key in sorted(source.options.keys() & _secret_keys(source.type)):
            variable = f"{source.name}_{key}".upper().replace("-", "_")
            written.append((f"sources[{index}] ({source.name}).{key}", variable, source.options[key]))
    for where, variable, secret in written:
        text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
        if text is not None and not has_reference(text) and not str(text).startswith(DEMO_SECRET):
            raise SettingsError(
                f"{path}: {where}: a secret does not stand in this file — put it into the environment and write "
                f'"${{{variable}}}", or keep it in a Prefect secret: "${{prefect:block-name}}" (docs/configuration.md)'
            )


def _secret_keys(source_type: str) -> set[str]:
    """The keys of a source whose values are secrets; a file's path is none."""
    fields = connector_class(source_type).Options.model_fields
    return {key for key, field in fields.items() if "SecretStr" in str(field.annotation) and not key.endswith("_file")}


def _check_options(path: Path, source: SourceSettings, where: str) -> None:
    """The keys of a source; what a reference stands for is checked when the source is connected."""
    model = connector_class(source.type).Options
    later = {key for key, value in source.options.items() if has_reference(value)}
    try:
        model.model_validate(source.options)
    except ValidationError as error:
        known = [problem for problem in _problems(error) if not _waits(problem, later)]
        if known:
            raise SettingsError(
                explain(str(path), known, model, f"{where}.", also=SourceSettings.model_fields)
            ) from None
    except ConnectorError as error:
        if not later:
            raise SettingsError(f"{path}: {where}: {error}") from None


def _waits(problem: Any, later: set[str]) -> bool:
    """Whether a problem may be gone once the keys in `later` are resolved."""
    if problem["type"] == "extra_forbidden":
        return False
    location = problem["loc"]
    return location[0] in later if location else bool(later)


def _problems(error: ValidationError) -> list[Any]:
    return list(error.errors(include_url=False, include_input=False))
