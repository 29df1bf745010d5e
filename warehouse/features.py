"""features.yml: what a feature is, who owns it, and which charges are its own.

    version: 1
    features:
      support_chat:
        owner: "@maya"
        monthly_budget_usd: 12000
        success: {outcomes: [resolved], outcome_settles_days: 1}
    rules:                                   # first match wins: by priority, then in the file's order
      - name: support key
        when: {provider: openai, sub_account_id: {in: [proj_support]}, tag.feature: support}
        feature: support_chat                # or `split: <name>`
        valid_from: 2026-01-01               # first and last charge_date on which the rule holds
    splits:
      gateway: {method: fixed, weights: {support_chat: 0.6, search: 0.4}}

The file is strict. Every problem in it is reported at once, each with its line, its field and, for
a name that is not known, the nearest one that is. Scalars are read as the text that stands in the
file: an account id such as 012345678901 stays what it is, and `no` is a text, not a false.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from warehouse.errors import WarehouseError, place_cure
from warehouse.patterns import PatternError, compile_pattern, has_open_set

if TYPE_CHECKING:
    import duckdb

UNALLOCATED = "unallocated"
ALL_FEATURES = "all features"  # the total in forecasts and alerts
POOL_PREFIX = "shared: "  # a target that is nobody's feature: `shared: tax`, `shared: platform`

# Columns of core.charges that a rule may ask about; `tag.<key>`, `k8s.namespace` and
# `k8s.label.<key>` read the tags.
DIMENSIONS = (
    "source_name",
    "source_type",
    "scope",
    "billing_account_id",
    "sub_account_id",
    "sub_account_name",
    "invoice_issuer_name",
    "provider_name",
    "provider",
    "service_name",
    "service_category",
    "sku_id",
    "sku_meter",
    "charge_description",
    "charge_category",
    "charge_class",
    "commitment_discount_status",
    "region_id",
    "resource_id",
    "api_key_id",
    "ai_kind",
    "workload",
    "model",
    "token_type",
    "pricing_tier",
    "gpu_type",
    "consumed_unit",
    "billing_currency",
    "basis",
)
TAG_PREFIX = "tag."
K8S_NAMESPACE = "k8s.namespace"
K8S_LABEL_PREFIX = "k8s.label."
DIMENSION_NAMES = (*DIMENSIONS, f"{TAG_PREFIX}<key>", K8S_NAMESPACE, f"{K8S_LABEL_PREFIX}<key>")

Loc = tuple[str | int, ...]


class FeaturesError(WarehouseError):
    """features.yml cannot work as it stands; the text lists every problem, one per line."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Success(_Strict):
    """When a task counts as a success."""

    outcomes: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Outcomes that are a success; any other outcome is a failure, no outcome is unknown."
    )
    outcome_settles_days: Annotated[int, Field(ge=0, le=90)] = Field(
        default=0, description="Days after the task until its outcome is known; unit cost is scored from then on."
    )


class Revenue(_Strict):
    """What the feature earns, in US dollars, where that is known."""

    per_unit_usd: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = None
    per_user_usd: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = None
    per_month_usd: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = None


class Feature(_Strict):
    """One AI feature. Costs, budgets, forecasts and alerts are per feature."""

    owner: str | None = Field(default=None, description="Slack member id (U…) or a name; alerts mention it.")
    channel: str | None = Field(default=None, description='Slack channel of its alerts; quote it: "#support-ai".')
    monthly_budget_usd: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None, description="Budget per calendar month, US dollars, effective cost before credits."
    )
    unit: str = Field(default="task", description="What one task produces: answer, document, …")
    success: Success | None = None
    revenue: Revenue | None = None


class Condition(_Strict):
    """What one dimension must be; of several operators, all must hold. Texts are case-sensitive."""

    equals: str | None = None
    in_: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(default=None, alias="in")
    prefix: str | None = None
    glob: str | None = Field(default=None, description="The whole text: * any run, ? any one character, [abc] a set.")
    regex: str | None = Field(default=None, description="RE2, found anywhere in the text; anchor with ^ and $.")
    present: bool | None = Field(default=None, description="true: the dimension has a value; false: it has none.")

    def operators(self) -> Iterator[tuple[str, Any]]:
        """The operators that are set: (name as in the file, operand)."""
        for name in ("equals", "in_", "prefix", "glob", "regex", "present"):
            operand = getattr(self, name)
            if operand is not None:
                yield name.rstrip("_"), operand


def _read_condition(raw: Any) -> Any:
    if isinstance(raw, str):
        return {"equals": raw}
    if isinstance(raw, list | tuple):
        raise ValueError("a list is written {in: [a, b]}")
    return raw


class Rule(_Strict):
    """Gives the charges that match every condition to a feature or to a split."""

    name: str | None = Field(default=None, description="Shown beside every allocation; default: its place.")
    priority: int = Field(default=100, description="Lower comes first; equal priorities keep the file's order.")
    when: Mapping[str, Annotated[Condition, BeforeValidator(_read_condition, json_schema_input_type=str | Condition)]]
    feature: str | None = None
    split: str | None = None
    valid_from: date | None = Field(default=None, description="First charge_date on which the rule holds.")
    valid_to: date | None = Field(default=None, description="Last charge_date on which the rule holds.")

    @property
    def target(self) -> str:
        """The feature, pool or split that takes the charges."""
        return self.feature or self.split or UNALLOCATED


class FixedSplit(_Strict):
    """Constant shares."""

    method: Literal["fixed"]
    weights: Annotated[Mapping[str, Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]], Field(min_length=1)] = Field(
        description="Shares that add up to 1 (or 100), or whole numbers of parts."
    )


class EvenSplit(_Strict):
    """The same share to each."""

    method: Literal["even"]
    features: Annotated[tuple[str, ...], Field(min_length=1)]


class ProportionalSplit(_Strict):
    """In proportion to what the features cost directly (by rule, not by split) on the same day."""

    method: Literal["proportional"]
    features: tuple[str, ...] | None = Field(default=None, description="Default: every feature.")


class TelemetrySplit(_Strict):
    """By each feature's share of the traffic; what telemetry does not cover stays unallocated."""

    method: Literal["telemetry"]
    features: tuple[str, ...] | None = Field(default=None, description="Default: every feature.")
    trailing_days: Annotated[int, Field(ge=1, le=366)] = Field(
        default=28, description="Days of full coverage from which telemetry per billed dollar is learned."
    )


Split = Annotated[FixedSplit | EvenSplit | ProportionalSplit | TelemetrySplit, Field(discriminator="method")]
_SPLIT: TypeAdapter[Split] = TypeAdapter(Split)


class Features(_Strict):
    """A checked features.yml. Make it with `load_features` or `parse_features`."""

    version: Literal["1"] = Field(description="The format's version.")
    features: Mapping[str, Feature] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    splits: Mapping[str, Split] = Field(default_factory=dict)

    def rules_in_order(self) -> list[Rule]:
        """The rules as they are tried: by priority, then in the file's order; each with a name."""
        named = [
            rule if rule.name else rule.model_copy(update={"name": f"rule {number}"})
            for number, rule in enumerate(self.rules, start=1)
        ]
        return sorted(named, key=lambda rule: rule.priority)

    def apply_tables(self, con: duckdb.DuckDBPyConnection) -> None:
        """Replace core.features and core.feature_success with this file's content, for the models to join."""
        con.execute(
            """
            CREATE OR REPLACE TABLE core.features (
                feature VARCHAR NOT NULL, owner VARCHAR, channel VARCHAR, monthly_budget_usd DECIMAL(38, 12),
                unit VARCHAR NOT NULL, outcome_settles_days INTEGER NOT NULL, has_success_rule BOOLEAN NOT NULL,
                revenue_per_unit_usd DECIMAL(38, 12), revenue_per_user_usd DECIMAL(38, 12),
                revenue_per_month_usd DECIMAL(38, 12)
            )
            """
        )
        con.execute("CREATE OR REPLACE TABLE core.feature_success (feature VARCHAR NOT NULL, outcome VARCHAR NOT NULL)")
        for name, feature in self.features.items():
            success, revenue = feature.success, feature.revenue or Revenue()
            con.execute(
                "INSERT INTO core.features VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    name,
                    feature.owner,
                    feature.channel,
                    feature.monthly_budget_usd,
                    feature.unit,
                    success.outcome_settles_days if success else 0,
                    success is not None,
                    revenue.per_unit_usd,
                    revenue.per_user_usd,
                    revenue.per_month_usd,
                ],
            )
            for outcome in dict.fromkeys(success.outcomes if success else ()):
                con.execute("INSERT INTO core.feature_success VALUES (?, ?)", [name, outcome])


def load_features(path: Path) -> Features:
    """Read and check the file. Raises FeaturesError listing every problem as `file:line: field: problem`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FeaturesError(f"{path}: no such file — `trendbreak init` writes a commented features.yml") from None
    except OSError as error:
        cure = place_cure(error)
        raise FeaturesError(f"{path}: cannot be read: {error.strerror}" + (f" — {cure}" if cure else "")) from None
    except UnicodeDecodeError:
        raise FeaturesError(f"{path}: is not UTF-8 text — save it as UTF-8") from None
    return parse_features(text, name=str(path))


def parse_features(text: str, *, name: str = "features.yml") -> Features:
    """Check the text of a features.yml; `name` is how errors call it."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        reader = _Reader(name)
        raw = reader.read(node, ())
    except yaml.YAMLError as error:
        raise FeaturesError(_syntax_error(name, error)) from None
    except RecursionError:
        raise FeaturesError(f"{name}:1: nested too deeply") from None
    if not isinstance(raw, dict):
        raise FeaturesError(f"{name}:1: the file must be a mapping that starts with `version: 1`")
    features = reader.validate(raw)
    if features is None or reader.problems:
        raise FeaturesError("\n".join(text for _, text in sorted(reader.problems)))
    return features


def features_json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of features.yml, for editors and other tools."""
    schema = _scalars_as_texts(Features.model_json_schema(by_alias=True, mode="validation"))
    schema["properties"]["version"] = {"const": 1, "description": "The format's version."}
    rule = schema["$defs"]["Rule"]
    names = [*DIMENSIONS, K8S_NAMESPACE]
    rule["properties"]["when"]["propertyNames"] = {
        "anyOf": [{"enum": names}, {"pattern": r"^tag\..+$"}, {"pattern": r"^k8s\.label\..+$"}]
    }
    rule["oneOf"] = [{"required": ["feature"]}, {"required": ["split"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Trendbreak features.yml",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _scalars_as_texts(schema: Any) -> Any:
    """To an editor an unquoted 123 is a number and `no` a boolean; the reader takes both as texts."""
    if isinstance(schema, list):
        return [_scalars_as_texts(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string" and not schema.keys() & {"const", "enum", "format", "pattern"}:
        return {**schema, "type": ["string", "number", "boolean"]}
    return {key: _scalars_as_texts(part) for key, part in schema.items()}


MOST_REPEATED = 10_000  # nodes that aliases repeat


class _Reader:
    """Turns YAML nodes into texts, lists and dicts, remembers each field's line, and gathers problems."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Loc, int] = {}
        self.problems: list[tuple[int, str]] = []
        self._blamed: set[Loc] = set()
        self._read: set[int] = set()
        self._repeated = 0

    def complain(self, loc: Loc, problem: str) -> None:
        """Note a problem; of several about one field only the first is shown."""
        if loc in self._blamed:
            return
        self._blamed.add(loc)
        line = self._line(loc)
        field = f"{_field(loc)}: " if loc else ""
        self.problems.append((line, f"{self.name}:{line}: {field}{problem}"))

    def _line(self, loc: Loc) -> int:
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)

    def read(self, node: yaml.Node | None, loc: Loc, ancestors: tuple[int, ...] = ()) -> Any:
        """The node's plain content: every scalar is its text; null becomes None."""
        if node is None:
            return None
        self.lines.setdefault(loc, node.start_mark.line + 1)
        if id(node) in ancestors:
            self.complain(loc, "an alias (*) here contains itself")
            return None
        self._repeated += id(node) in self._read
        self._read.add(id(node))
        if self._repeated > MOST_REPEATED:  # a few lines of aliases of aliases stand for billions of nodes
            raise FeaturesError(f"{self.name}:{self._line(loc)}: too many aliases (*) — write out what differs")
        inner = (*ancestors, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, loc, inner)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*loc, index), inner) for index, item in enumerate(node.value)]
        return None if node.tag == "tag:yaml.org,2002:null" else node.value

    def _read_mapping(self, node: yaml.MappingNode, loc: Loc, ancestors: tuple[int, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.lines.setdefault(loc, key_node.start_mark.line + 1)
                self.complain(loc, "a key must be a plain text")
                continue
            key = str(key_node.value)
            here = (*loc, key)
            if key in found:
                self.lines[here] = key_node.start_mark.line + 1
                self.complain(here, "this key is written twice; the second would silently win")
                continue
            self.lines[here] = key_node.start_mark.line + 1
            found[key] = self.read(value_node, here, ancestors)
            if found[key] is None and not _may_be_empty(here):
                self.complain(here, 'is empty; quote a text that begins with #, as in "#support-ai", or remove the key')
        return found

    def validate(self, raw: dict[str, Any]) -> Features | None:
        for key in ("features", "rules", "splits"):
            if key in raw and raw[key] is None:
                del raw[key]
        self._check_dimensions(raw)
        if isinstance(raw.get("features"), dict):
            raw["features"] = {key: {} if value is None else value for key, value in raw["features"].items()}
        try:
            features = Features.model_validate(raw)
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_context=False):
                self._complain_of(problem, raw)
            for loc, text in _problems_of_sound_parts(raw):
                self.complain(loc, text)
            return None
        for loc, text in _semantic_problems(features, enumerate(features.rules), features.splits):
            self.complain(loc, text)
        return None if self.problems else features

    def _check_dimensions(self, raw: dict[str, Any]) -> None:
        """Before the shape: a wrong name is told even where something else is wrong too."""
        rules = raw.get("rules")
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            when = rule.get("when") if isinstance(rule, dict) else None
            for dimension in when if isinstance(when, dict) else ():
                if not is_dimension(dimension):
                    loc = ("rules", index, "when", dimension)
                    self.complain(loc, _unknown("dimension", dimension, DIMENSION_NAMES))

    def _complain_of(self, problem: Any, raw: dict[str, Any]) -> None:
        loc = _without_union_tags(tuple(problem["loc"]), raw)
        kind = problem["type"]
        if kind == "extra_forbidden":
            self.complain(loc, _unknown("key", str(loc[-1]), _valid_keys(loc, raw)))
        elif kind == "missing":
            self.complain(loc, "this key is required")
        elif kind == "union_tag_not_found":
            self.complain((*loc, "method"), f"this key is required: {', '.join(_METHODS)}")
        elif kind == "union_tag_invalid":
            method = raw["splits"][loc[1]]["method"]
            self.complain((*loc, "method"), _unknown("method", str(method), _METHODS))
        elif loc == ("version",):
            self.complain(loc, f"this program reads version 1, not {raw.get('version')!r}")
        elif kind in _KINDS:
            self.complain(loc, f"this must be {_KINDS[kind]}, not {_kind_of(problem.get('input'))}")
        else:
            given = problem.get("input")
            shown = f", not {given!r}" if isinstance(given, str) else ""
            text = str(problem["msg"]).removeprefix("Value error, ").replace("Input should be", "this must be")
            self.complain(loc, text[:1].lower() + text[1:] + shown)


# pydantic's words for a wrong kind of value, in those of somebody who writes YAML.
_LIST = "a list, such as [a, b]"
_MAPPING = "a mapping of keys to values, such as {key: value}"
_KINDS: Mapping[str, str] = {
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_attributes_type": _MAPPING,
    "string_type": "one text",
    "too_short": "a list of at least one",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    "finite_number": "a finite number",
    **dict.fromkeys(("decimal_type", "decimal_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(
        ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
        "a day such as 2026-01-31",
    ),
}


def _kind_of(given: Any) -> str:
    if isinstance(given, Mapping):
        return "a mapping"
    if isinstance(given, list | tuple):
        return "a list" if given else "an empty one"
    return "nothing" if given is None else repr(given)


def _semantic_problems(
    features: Features, rules: Iterable[tuple[int, Rule]], splits: Mapping[str, Split]
) -> Iterator[tuple[Loc, str]]:
    """What is wrong though it has its shape. `rules` and `splits`: those to look at; `features` holds every name."""
    for name in features.features:
        problem = _feature_name_problem(name)
        if problem:
            yield ("features", name), problem
    seen: dict[str, int] = {}
    for index, rule in rules:
        loc: Loc = ("rules", index)
        yield from _rule_problems(features, rule, loc)
        name = rule.name or f"rule {index + 1}"
        if name in seen:
            yield (*loc, "name"), f"rules[{seen[name]}] has this name already; names must differ"
        seen[name] = index
    for name, split in splits.items():
        yield from _split_problems(features, split, ("splits", name))


def _problems_of_sound_parts(raw: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    """The same of a file that has wrong shapes too, so that one look at it tells all: of the parts that are sound."""
    names, rules, splits = raw.get("features", {}), raw.get("rules", []), raw.get("splits", {})
    if not (isinstance(names, dict) and isinstance(rules, list) and isinstance(splits, dict)):
        return
    known = Features.model_construct(version="1", features=dict.fromkeys(names, Feature()), splits=splits)
    sound = [(index, rule) for index, plain in enumerate(rules) if (rule := _sound_rule(plain)) is not None]
    yield from _semantic_problems(known, sound, dict(_sound_splits(splits)))


def _sound_rule(raw: Any) -> Rule | None:
    """The rule without what has a wrong shape; what its absence would make wrong is filled in."""
    if not isinstance(raw, dict):
        return None
    plain = dict(raw)
    try:
        return Rule.model_validate(plain)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            key, *inner = problem["loc"]
            if key == "when" and inner and isinstance(plain.get("when"), dict):
                plain["when"] = {name: value for name, value in plain["when"].items() if name != inner[0]}
            elif key == "when":
                plain["when"] = {}
            else:
                plain.pop(str(key), None)
    if "feature" not in plain and "split" not in plain:  # perhaps under a key that is misspelt
        plain["feature"] = UNALLOCATED
    try:
        return Rule.model_validate(plain)
    except ValidationError:
        return None


def _sound_splits(raw: Mapping[str, Any]) -> Iterator[tuple[str, Split]]:
    for name, plain in raw.items():
        try:
            yield name, _SPLIT.validate_python(plain)
        except ValidationError:
            continue


def _feature_name_problem(name: str) -> str | None:
    if name in (UNALLOCATED, ALL_FEATURES) or name.startswith("shared:"):
        return f"the name {name!r} belongs to the program; choose another"
    if not name or name != name.strip() or len(name) > 80 or not name.isprintable():
        return "a feature's name has 1 to 80 printable characters and no space at its ends"
    return None


def _rule_problems(features: Features, rule: Rule, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if (rule.feature is None) == (rule.split is None):
        yield loc, "a rule gives to one target: write either `feature:` or `split:`"
    if rule.feature is not None:
        yield from _target_problem(features, rule.feature, (*loc, "feature"))
    if rule.split is not None and rule.split not in features.splits:
        yield (*loc, "split"), _unknown("split", rule.split, features.splits)
    if rule.valid_from and rule.valid_to and rule.valid_to < rule.valid_from:
        yield (*loc, "valid_to"), f"is before valid_from {rule.valid_from}: the rule would never hold"
    for dimension, condition in rule.when.items():
        here = (*loc, "when", dimension)
        operators = list(condition.operators())
        if not operators:
            yield here, "needs a value or one of: in, prefix, glob, regex, present"
        for operator, operand in operators:
            problem = pattern_problem(operator, operand)
            if problem:
                yield (*here, operator), problem
            if operand == "" and not dimension.startswith((TAG_PREFIX, "k8s.")):
                yield (*here, operator), "is empty, and no charge has an empty text; use {present: false}"


def _target_problem(features: Features, target: str, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if target != UNALLOCATED and target not in features.features and not _is_pool(target):
        yield loc, _unknown("feature", target, features.features)


def _is_pool(target: str) -> bool:
    return target.startswith(POOL_PREFIX) and bool(target.removeprefix(POOL_PREFIX).strip())


def _split_problems(features: Features, split: Split, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if isinstance(split, FixedSplit):
        for name in split.weights:
            yield from _target_problem(features, name, (*loc, "weights", name))
        total = sum(split.weights.values())
        whole = all(weight == weight.to_integral_value() for weight in split.weights.values())
        if total == 0 or not (whole or total in (1, 100)):
            yield (*loc, "weights"), f"add up to {total}; make them add up to 1, or write whole numbers of parts"
        return
    names = split.features
    if names is not None and not names:
        yield (*loc, "features"), "is an empty list; name the features, or remove the key"
    for index, name in enumerate(names or ()):
        yield from _target_problem(features, name, (*loc, "features", index))
    if len(set(names or ())) != len(names or ()):
        yield (*loc, "features"), "names a feature twice"


def is_dimension(name: str) -> bool:
    """Whether a rule may ask about `name`."""
    if name in DIMENSIONS or name == K8S_NAMESPACE:
        return True
    return any(name.startswith(prefix) and len(name) > len(prefix) for prefix in (TAG_PREFIX, K8S_LABEL_PREFIX))


def pattern_problem(operator: str, operand: Any) -> str | None:
    """Why a glob or regex cannot be used, or None. Only these two operators can be wrong in form."""
    if operator not in ("glob", "regex"):
        return None
    try:
        compile_pattern(operator, str(operand))
    except PatternError as error:
        return str(error)
    if operator == "glob" and has_open_set(str(operand)):
        return "has a [ that no ] closes; write [[] for the character itself"
    return None


def _may_be_empty(loc: Loc) -> bool:
    return (len(loc) == 1 and loc[0] in ("features", "rules", "splits")) or (len(loc) == 2 and loc[0] == "features")


def _field(loc: Loc) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _unknown(what: str, name: str, valid: Iterable[str]) -> str:
    names = list(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"unknown {what} {name!r}; did you mean {near[0]!r}?"
    return f"unknown {what} {name!r}; valid: {', '.join(names) or 'none is defined'}"


_MODELS: Mapping[str, type[BaseModel]] = {"features": Feature, "rules": Rule}
_METHODS: Mapping[str, type[BaseModel]] = {
    "fixed": FixedSplit,
    "even": EvenSplit,
    "proportional": ProportionalSplit,
    "telemetry": TelemetrySplit,
}


def _valid_keys(loc: Loc, raw: Mapping[str, Any]) -> Sequence[str]:
    """The keys that could stand where `loc` does."""
    if len(loc) == 1:
        return list(Features.model_fields)
    if loc[0] == "splits":
        return list(_METHODS[raw["splits"][loc[1]]["method"]].model_fields)
    if len(loc) == 3:
        return list(_MODELS[str(loc[0])].model_fields)
    nested: Mapping[str, type[BaseModel]] = {"success": Success, "revenue": Revenue, "when": Condition}
    model = nested[str(loc[2])]
    return [field.alias or name for name, field in model.model_fields.items()]


def _without_union_tags(loc: Loc, raw: Mapping[str, Any]) -> Loc:
    """pydantic puts the split's method into the location; it is not a field of the file."""
    if len(loc) > 2 and loc[0] == "splits" and loc[2] in _METHODS:
        return (*loc[:2], *loc[3:])
    return loc


def _syntax_error(name: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{name}:{mark.line + 1 if mark else 1}: not valid YAML: {problem}"
