"""The invented company: who it is, which AI features it runs, and what happened to them.

Everything is a pure function of the seed. `invent(seed)` makes the company and plants five breaks;
the other modules of this folder turn it into traffic and then into bills in the providers' own
formats. Nobody here is real; the prices are the providers' list prices.

The calendar is fixed. AS_OF is a Wednesday: AWS settles a day two days after its end, so the newest
settled day is Sunday, and the weekend on which the GPU cluster was left on is in the books.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal, TypeVar

import numpy as np

AS_OF = date(2026, 10, 21)
NOW = datetime.combine(AS_OF, time(9, 30), tzinfo=UTC)
DAYS = 120
START = AS_OF - timedelta(days=DAYS)  # 2026-06-23, the first day of every bill
LAST_DAY = AS_OF - timedelta(days=1)
LAST_SETTLED = AS_OF - timedelta(days=3)  # Sunday 2026-10-18: settled for every source

_T = TypeVar("_T")
BreakStory = Literal["retry_storm", "slow_drift", "idle_gpu", "untagged_key", "success_drop"]
Role = Literal["retry_storm", "slow_drift", "idle_gpu", "success_drop", "clean"]


@dataclass(frozen=True)
class Model:
    """A model as telemetry names it, as the bill names it, and its list price per million tokens."""

    name: str
    provider: Literal["openai", "aws"]
    billed_as: str  # OpenAI: the line item's first word; AWS: the middle of the usage type
    billed_unit: str
    input_usd: Decimal
    cache_read_usd: Decimal
    cache_write_usd: Decimal
    output_usd: Decimal


def _openai(name: str, input_usd: str, cache_read_usd: str, output_usd: str) -> Model:
    return Model(
        name, "openai", name, "tokens", Decimal(input_usd), Decimal(cache_read_usd), Decimal(0), Decimal(output_usd)
    )


# OpenAI and Bedrock (regional endpoints, 10% over global) list prices as genai-prices 0.2.3 has them.
GPT_LARGE = (_openai("gpt-5.4", "2.50", "0.25", "15"), _openai("gpt-5.2", "1.75", "0.175", "14"))
GPT_SMALL = (_openai("gpt-5-mini", "0.25", "0.025", "2"), _openai("gpt-5.4-mini", "0.75", "0.075", "4.50"))
CLAUDE_LARGE = Model(
    "us.anthropic.claude-sonnet-4-6",
    "aws",
    "Claude4.6Sonnet",
    "1M tokens",
    Decimal("3.30"),
    Decimal("0.33"),
    Decimal("4.125"),
    Decimal("16.50"),
)
# Bedrock's units differ from model to model; this one is sold by the thousand.
CLAUDE_SMALL = Model(
    "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "aws",
    "Claude4.5Haiku",
    "1K tokens",
    Decimal("1.10"),
    Decimal("0.11"),
    Decimal("1.375"),
    Decimal("5.50"),
)
CLAUDE_OPUS = Model(
    "us.anthropic.claude-opus-4-5-20251101-v1:0",
    "aws",
    "Claude4.5Opus",
    "1M tokens",
    Decimal("5.50"),
    Decimal("0.55"),
    Decimal("6.875"),
    Decimal("27.50"),
)


@dataclass(frozen=True)
class Archetype:
    """What kinds of AI feature there are. Ranges are drawn per company; tokens are per call of the large model."""

    tasks_per_weekday: tuple[int, int]
    weekend: tuple[float, float]  # weekend tasks per weekday task
    calls_per_task: float
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    cached_share: float
    outcomes: tuple[str, ...]  # the first one is success
    success_rate: tuple[float, float]
    outcome_settles_days: int
    office_hours: bool


CHAT = Archetype(
    (155, 205), (0.45, 0.65), 1.9, (62_000, 84_000), (7_200, 9_800), 0.5,
    ("resolved", "escalated", "abandoned"), (0.80, 0.90), 1, False,
)  # fmt: skip
SEARCH = Archetype(
    (195, 260), (0.35, 0.5), 1.35, (60_000, 80_000), (6_500, 8_600), 0.3,
    ("accepted", "rephrased", "abandoned"), (0.78, 0.88), 1, True,
)  # fmt: skip
REVIEW = Archetype(
    (80, 105), (0.3, 0.42), 2.6, (76_000, 98_000), (9_100, 11_800), 0.35,
    ("approved", "corrected", "rejected"), (0.82, 0.92), 2, True,
)  # fmt: skip
DRAFT = Archetype(
    (115, 155), (0.3, 0.45), 1.6, (58_000, 78_000), (10_600, 13_900), 0.3,
    ("sent", "rewritten", "discarded"), (0.76, 0.87), 1, True,
)  # fmt: skip
EXTRACT = Archetype(
    (170, 230), (0.35, 0.5), 1.25, (70_000, 92_000), (7_900, 10_600), 0.25,
    ("posted", "corrected", "failed"), (0.87, 0.94), 1, True,
)  # fmt: skip
CODE = Archetype(
    (85, 120), (0.28, 0.4), 2.4, (80_000, 104_000), (9_600, 12_500), 0.5,
    ("merged", "dismissed", "ignored"), (0.72, 0.83), 2, True,
)  # fmt: skip

# slug → (archetype, unit)
LLM_FEATURES: dict[str, tuple[Archetype, str]] = {
    "support_chat": (CHAT, "answer"),
    "tutor_chat": (CHAT, "answer"),
    "intake_chat": (CHAT, "answer"),
    "booking_assistant": (CHAT, "answer"),
    "doc_search": (SEARCH, "answer"),
    "policy_search": (SEARCH, "answer"),
    "product_search": (SEARCH, "answer"),
    "guideline_search": (SEARCH, "answer"),
    "contract_review": (REVIEW, "contract"),
    "claims_triage": (REVIEW, "claim"),
    "essay_feedback": (REVIEW, "essay"),
    "lease_review": (REVIEW, "lease"),
    "report_writer": (DRAFT, "report"),
    "letter_drafts": (DRAFT, "letter"),
    "email_drafts": (DRAFT, "email"),
    "quote_drafts": (DRAFT, "quote"),
    "product_copy": (DRAFT, "listing"),
    "quiz_maker": (DRAFT, "quiz"),
    "invoice_capture": (EXTRACT, "invoice"),
    "customs_forms": (EXTRACT, "form"),
    "visit_summaries": (EXTRACT, "summary"),
    "review_insights": (EXTRACT, "review"),
    "code_review": (CODE, "pull request"),
}
# slug → (unit, self-hosted model)
GPU_FEATURES: dict[str, tuple[str, str]] = {
    "voice_notes": ("recording", "whisper-large-v3"),
    "call_transcripts": ("call", "whisper-large-v3"),
    "video_captions": ("video", "whisper-large-v3"),
    "image_tagging": ("album", "qwen3-vl-32b"),
    "damage_photos": ("claim", "qwen3-vl-32b"),
    "scan_reader": ("folder", "qwen3-vl-32b"),
}
# sector → (last word of the name, tagline, LLM features to choose from, GPU features to choose from)
SECTORS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "Freight",
        "freight forwarding, 420 people",
        (
            "support_chat",
            "doc_search",
            "customs_forms",
            "quote_drafts",
            "code_review",
            "report_writer",
            "invoice_capture",
        ),
        ("voice_notes", "damage_photos"),
    ),
    (
        "Mutual",
        "insurance for small firms, 610 people",
        ("claims_triage", "policy_search", "letter_drafts", "support_chat", "code_review", "invoice_capture"),
        ("damage_photos", "call_transcripts"),
    ),
    (
        "Legal",
        "legal services for landlords, 260 people",
        ("contract_review", "doc_search", "letter_drafts", "support_chat", "report_writer", "invoice_capture"),
        ("call_transcripts", "scan_reader"),
    ),
    (
        "Home",
        "furniture online, 540 people",
        ("support_chat", "product_search", "product_copy", "review_insights", "code_review", "email_drafts"),
        ("image_tagging", "video_captions"),
    ),
    (
        "Learning",
        "courses for trades, 330 people",
        ("tutor_chat", "essay_feedback", "quiz_maker", "doc_search", "support_chat", "code_review"),
        ("video_captions", "voice_notes"),
    ),
    (
        "Clinics",
        "software for clinics, 380 people",
        ("intake_chat", "guideline_search", "visit_summaries", "letter_drafts", "support_chat", "code_review"),
        ("voice_notes", "scan_reader"),
    ),
    (
        "Lettings",
        "property management, 290 people",
        ("booking_assistant", "lease_review", "doc_search", "email_drafts", "invoice_capture", "report_writer"),
        ("image_tagging", "call_transcripts"),
    ),
)
_NAME_FIRST = (
    "Alder", "Bramble", "Cinder", "Dunlin", "Ember", "Fennel", "Garnet", "Hazel", "Ivory", "Juniper", "Kestrel",
    "Larch", "Marlow", "Nettle", "Osprey", "Pewter", "Quill", "Russet", "Saffron", "Tallow", "Umber", "Wren", "Yarrow",
)  # fmt: skip
_NAME_LAST = ("brook", "mere", "wick", "haven", "stead", "ford", "combe", "holt", "dale")
_PEOPLE = (
    "amara", "bruno", "chidi", "dalia", "elif", "farid", "greta", "hana", "ines", "jonas", "keiko", "liam", "maya",
    "noor", "otto", "priya", "rosa", "sven", "tariq", "ulla", "vera", "wes", "yusuf", "zofia",
)  # fmt: skip

# EC2 GPU nodes that one cluster is made of: (instance type, its GPUs, on-demand $ per hour in us-east-1, nodes at
# peak, at night)
GPU_NODES: tuple[tuple[str, int, Decimal, int, int], ...] = (
    ("g6e.12xlarge", 4, Decimal("10.49264"), 4, 1),
    ("g5.12xlarge", 4, Decimal("5.672"), 5, 1),
    ("p5.4xlarge", 1, Decimal("6.88"), 4, 1),
    ("g6.12xlarge", 4, Decimal("4.6016"), 6, 2),
    ("g5.24xlarge", 4, Decimal("8.144"), 4, 1),
)


@dataclass(frozen=True)
class Release:
    """From `day` (index) and `second` of that day on, calls carry this release and prompt version."""

    day: int
    second: int
    release: str
    prompt_version: str


@dataclass(frozen=True)
class LlmFeature:
    slug: str
    unit: str
    owner: str
    channel: str
    role: Role
    archetype: Archetype
    large: Model
    small: Model
    small_share: float  # of calls
    tasks_per_weekday: int
    weekday_shape: tuple[float, ...]  # Monday first; mean of Monday to Friday is 1
    growth_per_day: float
    volume_noise: float  # standard deviation of the log
    size_noise: float
    input_tokens: int
    output_tokens: int
    success_rate: float
    releases: tuple[Release, ...]
    project_id: str | None  # OpenAI only
    project_name: str | None
    api_key_id: str | None
    by_key: bool  # the project is shared: the rule goes by API key
    users: int
    has_revenue: bool


@dataclass(frozen=True)
class GpuFeature:
    slug: str
    unit: str
    owner: str
    channel: str
    model: str
    outcomes: tuple[str, ...]
    success_rate: float
    tasks_per_weekday: int
    weekday_shape: tuple[float, ...]
    growth_per_day: float
    volume_noise: float
    instance_type: str
    devices_per_node: int
    node_hour_usd: Decimal
    peak_nodes: int
    night_nodes: int
    opens_hour: int
    closes_hour: int
    cluster: str
    releases: tuple[Release, ...]
    users: int


@dataclass(frozen=True)
class UntaggedKey:
    """New spend that no rule takes. `route` says through which bill it comes."""

    route: Literal["new_project", "new_key", "bedrock"]
    name: str
    usd_per_day: Decimal
    model: Model
    project_id: str | None
    project_name: str | None
    api_key_id: str | None


@dataclass(frozen=True)
class PlantedBreak:
    """One thing that went wrong, for scoring. `node` is a feature's name, or 'unallocated'."""

    story: BreakStory
    node: str
    onset: date
    metric: Literal["cost", "unit_cost"]
    note: str


@dataclass(frozen=True)
class Company:
    seed: int
    name: str
    slug: str
    tagline: str
    llm: tuple[LlmFeature, ...]
    gpu: GpuFeature
    reranker: str  # the LLM feature that also runs a SageMaker endpoint and a nightly training job
    untagged: UntaggedKey
    planted: tuple[PlantedBreak, ...]
    payer_account: str
    accounts: dict[str, str]  # prod, ml, sandbox → account id
    default_project_id: str
    default_key_id: str
    storm_factor: float  # what the retry storm multiplies the feature's spend by
    drift_per_day: float
    success_drop_factor: float  # what the bad prompt multiplies the success rate by

    @property
    def features(self) -> tuple[str, ...]:
        return (*(feature.slug for feature in self.llm), self.gpu.slug)

    def planted_as(self, story: BreakStory) -> PlantedBreak:
        return next(planted for planted in self.planted if planted.story == story)


def day_index(day: date) -> int:
    return (day - START).days


def invent(seed: int) -> Company:
    """The company of this seed, with one break of each story planted."""
    rng = np.random.default_rng([20261021, seed])
    sector = SECTORS[int(rng.integers(len(SECTORS)))]
    suffix, tagline, llm_pool, gpu_pool = sector
    first = _pick(rng, _NAME_FIRST)
    name = f"{first}{_pick(rng, _NAME_LAST)} {suffix}"
    slugs = [llm_pool[i] for i in sorted(rng.permutation(len(llm_pool))[:5])]
    gpu_slug = _pick(rng, gpu_pool)
    owners = [_PEOPLE[i] for i in rng.permutation(len(_PEOPLE))[:6]]
    roles: list[Role] = ["retry_storm", "slow_drift", "success_drop", "clean", "clean"]
    roles = [roles[i] for i in rng.permutation(5)]
    # Two or three features on OpenAI, the others on Bedrock; each role meets each provider in some seed.
    on_openai = {int(i) for i in rng.permutation(5)[: int(rng.integers(2, 4))]}
    shared_project = _identifier(rng, "proj_", 24)

    # 4 to 6, 21, 2, 4 to 5 and 10 to 11 days up to the newest settled day, counting both ends.
    onsets: dict[BreakStory, date] = {
        "retry_storm": LAST_SETTLED - timedelta(days=int(rng.integers(3, 6))),
        "slow_drift": LAST_SETTLED - timedelta(days=20),
        "idle_gpu": LAST_SETTLED - timedelta(days=1),
        "untagged_key": LAST_SETTLED - timedelta(days=int(rng.integers(3, 5))),
        "success_drop": LAST_SETTLED - timedelta(days=int(rng.integers(9, 11))),
    }
    storm_factor = float(rng.uniform(1.9, 2.3))
    drift_per_day = float(rng.uniform(0.022, 0.030))
    success_drop_factor = 1 / float(rng.uniform(1.40, 1.75))

    features: list[LlmFeature] = []
    shared_left = 2  # two OpenAI features live in one project, told apart by their keys
    for position, slug in enumerate(slugs):
        archetype, unit = LLM_FEATURES[slug]
        role = roles[position]
        openai = position in on_openai
        large = _pick(rng, GPT_LARGE) if openai else CLAUDE_LARGE
        small = _pick(rng, GPT_SMALL) if openai else CLAUDE_SMALL
        by_key = openai and shared_left > 0
        shared_left -= by_key
        # Sonnet costs about twice as much per token: the team sends it shorter prompts.
        scale = 1.0 if openai else 0.72
        break_day = None if role == "clean" else onsets[role]
        features.append(
            LlmFeature(
                slug=slug,
                unit=unit,
                owner=f"@{owners[position]}",
                channel=f"#{slug.replace('_', '-')}",
                role=role,
                archetype=archetype,
                large=large,
                small=small,
                small_share=float(rng.uniform(0.15, 0.3)),
                tasks_per_weekday=int(rng.integers(*archetype.tasks_per_weekday)),
                weekday_shape=_week(rng, float(rng.uniform(*archetype.weekend))),
                growth_per_day=float(rng.uniform(0.0, 0.0012)),
                volume_noise=float(rng.uniform(0.03, 0.05)),
                size_noise=float(rng.uniform(0.015, 0.03)),
                input_tokens=int(rng.integers(*archetype.input_tokens) * scale),
                output_tokens=int(rng.integers(*archetype.output_tokens) * (1.0 if openai else 0.75)),
                success_rate=float(rng.uniform(*archetype.success_rate)),
                releases=_releases(rng, break_day),
                project_id=(shared_project if by_key else _identifier(rng, "proj_", 24)) if openai else None,
                project_name=("Product" if by_key else slug.replace("_", " ").capitalize()) if openai else None,
                api_key_id=_identifier(rng, "key_", 16) if openai else None,
                by_key=by_key,
                users=int(rng.integers(90, 420)),
                has_revenue=bool(rng.random() < 0.5),
            )
        )

    unit, model = GPU_FEATURES[gpu_slug]
    instance_type, devices, node_hour_usd, peak, night = _pick(rng, GPU_NODES)
    gpu = GpuFeature(
        slug=gpu_slug,
        unit=unit,
        owner=f"@{owners[5]}",
        channel=f"#{gpu_slug.replace('_', '-')}",
        model=model,
        outcomes=("accepted", "corrected", "failed"),
        success_rate=float(rng.uniform(0.86, 0.94)),
        tasks_per_weekday=int(rng.integers(220, 300)),
        weekday_shape=_week(rng, float(rng.uniform(0.3, 0.45))),
        growth_per_day=float(rng.uniform(0.0, 0.001)),
        volume_noise=float(rng.uniform(0.03, 0.05)),
        instance_type=instance_type,
        devices_per_node=devices,
        node_hour_usd=node_hour_usd,
        peak_nodes=peak,
        night_nodes=night,
        opens_hour=int(rng.integers(6, 9)),
        closes_hour=int(rng.integers(19, 22)),
        cluster=f"{gpu_slug.split('_')[0]}-gpu",
        releases=_releases(rng, None),
        users=int(rng.integers(60, 240)),
    )
    untagged = _untagged(rng, shared_project)
    by_role = {feature.role: feature.slug for feature in features}
    planted = (
        PlantedBreak(
            "retry_storm",
            by_role["retry_storm"],
            onsets["retry_storm"],
            "cost",
            f"a release with a short timeout retries calls that the provider still bills: spend ×{storm_factor:.1f}",
        ),
        PlantedBreak(
            "slow_drift",
            by_role["slow_drift"],
            onsets["slow_drift"],
            "cost",
            f"prompts grow longer every day: spend +{drift_per_day:.1%} a day",
        ),
        PlantedBreak(
            "idle_gpu",
            gpu_slug,
            onsets["idle_gpu"],
            "cost",
            f"{peak} × {instance_type} were not scaled down on Friday evening",
        ),
        PlantedBreak(
            "untagged_key",
            "unallocated",
            onsets["untagged_key"],
            "cost",
            f"{untagged.name}: about ${untagged.usd_per_day:.0f} a day that no rule takes",
        ),
        PlantedBreak(
            "success_drop",
            by_role["success_drop"],
            onsets["success_drop"],
            "unit_cost",
            f"a new prompt version fails more often: cost per success ×{1 / success_drop_factor:.2f}, spend unchanged",
        ),
    )
    clean = [feature.slug for feature in features if feature.role == "clean"]
    return Company(
        seed=seed,
        name=name,
        slug=name.lower().replace(" ", "-"),
        tagline=tagline,
        llm=tuple(features),
        gpu=gpu,
        reranker=_pick(rng, clean),
        untagged=untagged,
        planted=planted,
        payer_account=_digits(rng, 12),
        accounts={"prod": _digits(rng, 12), "ml": _digits(rng, 12), "sandbox": _digits(rng, 12)},
        default_project_id=_identifier(rng, "proj_", 24),
        default_key_id=_identifier(rng, "key_", 16),
        storm_factor=storm_factor,
        drift_per_day=drift_per_day,
        success_drop_factor=success_drop_factor,
    )


def _untagged(rng: np.random.Generator, shared_project: str) -> UntaggedKey:
    usd_per_day = Decimal(int(rng.integers(70, 240)))
    route = ("new_project", "new_key", "bedrock")[int(rng.integers(3))]
    key_id = _identifier(rng, "key_", 16)
    project_id = _identifier(rng, "proj_", 24)
    model = _pick(rng, GPT_LARGE)
    if route == "new_project":
        name = _pick(rng, ("Hackathon", "Agent prototype", "Data enrichment", "Eval sandbox"))
        return UntaggedKey("new_project", f"OpenAI project “{name}”", usd_per_day, model, project_id, name, key_id)
    if route == "new_key":
        return UntaggedKey(
            "new_key",
            "a new key in the OpenAI project “Product”",
            usd_per_day,
            model,
            shared_project,
            "Product",
            key_id,
        )
    return UntaggedKey(
        "bedrock", "Claude Opus on Bedrock in the sandbox account", usd_per_day, CLAUDE_OPUS, None, None, None
    )


def _releases(rng: np.random.Generator, break_day: date | None) -> tuple[Release, ...]:
    """Ordinary releases every one to two weeks, prompts rarely; one of each on the day of the break.

    No ordinary release falls into the last 25 days of a feature with a break, so that the change
    named on the onset day is the one that did it.
    """
    releases = [Release(0, 0, _version(START), "v7")]
    day, prompt = int(rng.integers(4, 12)), 7
    last = DAYS - 2 if break_day is None else min(day_index(break_day), DAYS - 25) - 1
    while day <= last:
        prompt += bool(rng.random() < 0.25)
        releases.append(
            Release(day, int(rng.integers(8 * 3600, 16 * 3600)), _version(START + timedelta(days=day)), f"v{prompt}")
        )
        day += int(rng.integers(7, 15))
    if break_day is not None:
        second = int(rng.integers(1 * 3600, 7 * 3600))
        releases.append(Release(day_index(break_day), second, _version(break_day), f"v{prompt + 1}"))
    return tuple(releases)


def _version(day: date) -> str:
    return f"{day.year}.{day.month:02d}.{day.day:02d}"


def _week(rng: np.random.Generator, weekend: float) -> tuple[float, ...]:
    """Weights of Monday to Sunday; the mean of Monday to Friday is 1."""
    office = 1.0 + rng.normal(0.0, 0.045, size=5) + np.array([-0.01, 0.03, 0.04, 0.0, -0.06])
    office = office / office.mean()
    saturday, sunday = weekend * (1 + rng.normal(0.0, 0.04, size=2))
    return (*(float(weight) for weight in office), float(saturday), float(sunday))


def _pick(rng: np.random.Generator, choices: Sequence[_T]) -> _T:
    return choices[int(rng.integers(len(choices)))]


def _digits(rng: np.random.Generator, count: int) -> str:
    return str(int(rng.integers(1, 10))) + "".join(str(digit) for digit in rng.integers(0, 10, size=count - 1))


def _identifier(rng: np.random.Generator, prefix: str, count: int) -> str:
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    return prefix + "".join(alphabet[i] for i in rng.integers(0, len(alphabet), size=count))
