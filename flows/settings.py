"""trendbreak.yml: one strict file; secrets only as ${ENV} references.

Reading the file checks every key, but resolves no secret: `trendbreak query` needs none, and one
missing secret must not stop the other sources. `SourceSettings.resolved()` resolves when a source
is connected, and names what is missing.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator

from connectors.errors import ConnectorError
from connectors.registry import CONNECTORS, connector_class
from flows.errors import SettingsError

DEFAULT_CONFIG = "trendbreak.yml"
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SOURCE_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,62}$")


def _whole_text(value: object) -> object:
    # YAML reads 1.08 as a float; money never is one.
    return str(value) if isinstance(value, float | int) and not isinstance(value, bool) else value


Money = Annotated[Decimal, BeforeValidator(_whole_text)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSettings(BaseModel):
    """One entry of `sources`: name, type, and the keys of that type's own `Options`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str
    type: str

    @field_validator("name")
    @classmethod
    def _name_is_a_slug(cls, name: str) -> str:
        if not _SOURCE_NAME.match(name):
            raise ValueError(
                "a source name is lower-case letters, digits, '-' and '_', and starts with a letter: "
                "it becomes a folder and a column value"
            )
        return name

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    def resolved(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """The options with every ${ENV} replaced. Raises SettingsError naming the key and the variable."""
        return {key: resolve(value, environment, f"source {self.name!r}, {key}") for key, value in self.options.items()}


class SlackSettings(_Strict):
    """Without a token the messages go to a folder and the terminal; with an app token, buttons work too."""

    token: SecretStr | None = Field(default=None, description="the bot token, xoxb-…")
    app_token: SecretStr | None = Field(default=None, description="the app-level token for buttons, xapp-…")
    channel: str = "#ai-costs"
    base_url: str = "https://slack.com/api/"


class AlertSettings(_Strict):
    """What is worth a message. The gates come after statistical significance."""

    min_usd_per_day: Money = Field(default=Decimal("20"), gt=0)
    min_percent: Money = Field(default=Decimal("15"), gt=0)
    false_alerts_per_month: Money = Field(default=Decimal("2"), gt=0)


class ScheduleSettings(_Strict):
    """When `trendbreak serve` runs the daily flow. Exports of a day are in by mid-morning UTC."""

    cron: str = "30 9 * * *"
    timezone: str = "UTC"


class RetentionSettings(_Strict):
    """How long what is no longer needed is kept. What a rebuild needs is never removed."""

    superseded_days: int | None = Field(default=90, ge=1, description="landed deliveries that others replaced")


class BackupSettings(_Strict):
    """Where the maintenance flow backs up to (a folder or s3://…), and how many backups stay there."""

    location: str | None = None
    keep: int = Field(default=7, ge=1)
    with_landing: bool = Field(default=False, description="the landed payloads too, not only their index")


class RateSettings(_Strict):
    """US dollars per unit of a currency, from a day on."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    valid_from: date
    usd_per_unit: Money = Field(gt=0)


class Settings(_Strict):
    """The whole file. Relative paths are relative to the file's folder."""

    organization: str = Field(default="Your company", description="whose costs these are; the report's headline")
    home: Path = Path("data")
    sources: tuple[SourceSettings, ...] = ()
    features: Path = Path("features.yml")
    prices: Path | None = Field(default=None, description="negotiated prices, prices.yml; default: list prices")
    slack: SlackSettings = SlackSettings()
    alerts: AlertSettings = AlertSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    currency_rates: tuple[RateSettings, ...] = ()
    retention: RetentionSettings = RetentionSettings()
    backup: BackupSettings = BackupSettings()
    backfill_days: int = Field(default=120, ge=1, le=1200, description="how far the first run reaches back")
    state: str | None = Field(default=None, description="state store URL; default: SQLite in home")

    @property
    def state_url(self) -> str:
        return self.state or f"sqlite:///{self.home / 'state.sqlite'}"

    def source(self, name: str) -> SourceSettings:
        for source in self.sources:
            if source.name == name:
                return source
        raise SettingsError(f"no source is named {name!r}{_nearest(name, [s.name for s in self.sources])}")


def resolve(value: Any, environment: Mapping[str, str], where: str) -> Any:
    """`value` with every ${ENV} in its texts replaced. Raises SettingsError naming `where` and the variable."""
    if isinstance(value, str):

        def replace(match: re.Match[str]) -> str:
            name = match.group(1)
            if not environment.get(name):
                raise SettingsError(
                    f"{where}: the environment variable {name} is not set — export {name}, "
                    f"or write the key without it if it is not a secret"
                )
            return environment[name]

        return _REFERENCE.sub(replace, value)
    if isinstance(value, Mapping):
        return {key: resolve(item, environment, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, environment, f"{where}[{index}]") for index, item in enumerate(value)]
    return value


def slack_token(settings: Settings, environment: Mapping[str, str]) -> SecretStr | None:
    """The bot token, resolved; None when none is configured. Raises SettingsError when its variable is unset."""
    return _secret(settings.slack.token, environment, "slack.token")


def app_token(settings: Settings, environment: Mapping[str, str]) -> SecretStr | None:
    """The app-level token, resolved, as `slack_token`."""
    return _secret(settings.slack.app_token, environment, "slack.app_token")


def _secret(secret: SecretStr | None, environment: Mapping[str, str], where: str) -> SecretStr | None:
    return None if secret is None else SecretStr(resolve(secret.get_secret_value(), environment, where))


def config_path(given: Path | None) -> Path:
    """The file of `--config`, else of TRENDBREAK_CONFIG, else ./trendbreak.yml."""
    return given or Path(os.environ.get("TRENDBREAK_CONFIG") or DEFAULT_CONFIG)


def load_settings(path: Path) -> Settings:
    """Read and check the file. Raises SettingsError naming the key, with the nearest valid name."""
    if not path.is_file():
        raise SettingsError(f"{path}: no such file — `trendbreak init` writes a commented one")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: the file must be a mapping with keys such as `home` and `sources`")
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        raise SettingsError(_explain(path, error, Settings)) from None
    _check_sources(path, settings)
    base = path.resolve().parent
    return settings.model_copy(
        update={
            "home": base / settings.home,
            "features": base / settings.features,
            "prices": base / settings.prices if settings.prices else None,
            "sources": tuple(_anchored(source, base) for source in settings.sources),
        }
    )


def _anchored(source: SourceSettings, base: Path) -> SourceSettings:
    """A relative `location` means a folder beside the configuration file, wherever the command runs."""
    location = source.options.get("location")
    if not isinstance(location, str) or "://" in location or location.startswith(("/", "${")):
        return source
    return SourceSettings(**{**source.model_dump(), "location": str(base / location)})


def _check_sources(path: Path, settings: Settings) -> None:
    seen: set[str] = set()
    for index, source in enumerate(settings.sources):
        where = f"{path}: sources[{index}] ({source.name})"
        if source.name in seen:
            raise SettingsError(f"{where}: the name {source.name!r} is used twice — names must differ")
        seen.add(source.name)
        if source.type not in CONNECTORS:
            raise SettingsError(
                f"{where}: unknown type {source.type!r}{_nearest(source.type, CONNECTORS)} "
                f"— valid types: {', '.join(sorted(CONNECTORS))}"
            )
        model = connector_class(source.type).Options
        try:
            model.model_validate(source.options)
        except ValidationError as error:
            raise SettingsError(_explain(path, error, model, f"sources[{index}] ({source.name}).")) from None
        except ConnectorError as error:
            raise SettingsError(f"{where}: {error}") from None


def _explain(path: Path, error: ValidationError, model: type[BaseModel], prefix: str = "") -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        location = problem["loc"]
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
        if problem["type"] == "extra_forbidden":
            valid = _valid_keys(model, location[:-1])
            lines.append(
                f"{prefix}{key}: unknown key{_nearest(str(location[-1]), valid)} — valid keys: {', '.join(valid)}"
            )
        elif problem["type"] == "missing":
            lines.append(f"{prefix}{key}: this key is required")
        else:
            lines.append(f"{prefix}{key}: {problem['msg']}")
    return f"{path}: " + "\n  ".join(lines)


def _valid_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    current: type[BaseModel] = model
    for part in location:
        if isinstance(part, int):
            continue
        found = _model_of(current.model_fields[part].annotation) if part in current.model_fields else None
        if found is None:
            break
        current = found
    return sorted(current.model_fields)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_of(argument)
        if found is not None:
            return found
    return None


def _nearest(name: str, valid: Any) -> str:
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
