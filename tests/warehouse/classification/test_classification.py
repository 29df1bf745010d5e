"""Every SKU pattern of the providers' documentation ends where it belongs.

The SKU texts are the documented forms (AWS: "Understanding your Amazon Bedrock Cost and Usage Report
data", EC2 and SageMaker usage types; Google Cloud SKU descriptions; Azure meter names); quantities
and accounts are invented.
"""

from __future__ import annotations

import csv
import re
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from warehouse import classification
from warehouse.classification import (
    FOLDER,
    TABLES,
    Classification,
    Sku,
    boundaries,
    classify,
    provider_slug,
    read_table,
)

DAY = date(2026, 3, 1)
TOKEN_TYPES = {"input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"}
TIERS = {"standard", "batch", "flex", "priority", "provisioned"}


def llm(
    model: str | None, token_type: str | None, tokens_per_unit: int | None, tier: str = "standard"
) -> Classification:
    return Classification("llm_api", "inference", model, token_type, tier, None, tokens_per_unit)


def gpu(gpu_type: str | None, hours: Fraction | float | None, workload: str = "unknown") -> Classification:
    return Classification(
        "gpu", workload, gpu_type=gpu_type, gpu_hours_per_unit=None if hours is None else Fraction(hours)
    )


def bedrock(meter: str, unit: str = "1K tokens", service: str = "Amazon Bedrock") -> Sku:
    return Sku("aws", service, "AI and Machine Learning", meter, None, unit)


def marketplace(meter: str, unit: str = "Units", product: str = "Claude Sonnet 4.5 (Amazon Bedrock Edition)") -> Sku:
    return Sku("aws", product, None, f"USE1-MP:USE1_{meter}", None, unit)


BEDROCK = [
    (bedrock("USE1-Claude4.6Sonnet-input-tokens"), llm("claude-sonnet-4-6", "input", 1000)),
    (bedrock("USE1-Claude4.6Sonnet-output-tokens"), llm("claude-sonnet-4-6", "output", 1000)),
    (bedrock("USE1-Claude4.6Sonnet-cache-read-input-token-count"), llm("claude-sonnet-4-6", "cache_read", 1000)),
    (bedrock("USE1-Claude4.6Sonnet-cache-write-input-token-count"), llm("claude-sonnet-4-6", "cache_write_5m", 1000)),
    (
        bedrock("USE1-Claude4.6Sonnet-cache-write-1h-input-token-count"),
        llm("claude-sonnet-4-6", "cache_write_1h", 1000),
    ),
    (bedrock("EUC1-Claude4.5Haiku-input-tokens", "1M tokens"), llm("claude-haiku-4-5", "input", 1_000_000)),
    (
        bedrock("USE1-Claude4Sonnet-cache-read-input-token-count-cross-region-global"),
        llm("claude-sonnet-4", "cache_read", 1000),
    ),
    (
        bedrock("USE1-openai.gpt-oss-120b-mantle-input-tokens-standard", "1M tokens"),
        llm("gpt-oss-120b", "input", 1_000_000),
    ),
    (bedrock("USE1-qwen.qwen3-32b-mantle-output-tokens-priority"), llm("qwen3-32b", "output", 1000, "priority")),
    (bedrock("USE1-Nova2.0Lite-input-tokens-flex"), llm("nova-2-lite", "input", 1000, "flex")),
    (bedrock("USE1-NovaPro-output-tokens-batch"), llm("nova-pro", "output", 1000, "batch")),
    (bedrock("USE1-NovaPro-cache-read-input-token-count"), llm("nova-pro", "cache_read", 1000)),
    (bedrock("USE1-Llama3-3-70B-input-tokens"), llm("llama-3.3-70b", "input", 1000)),
    (
        bedrock("USE1-Claude3Haiku-ProvisionedThroughput-ModelUnits", "Hours"),
        llm("claude-3-haiku", None, None, "provisioned"),
    ),
    (bedrock("USE1-TitanEmbeddingV2-Text-input-tokens"), llm("titan-embed-text-v2", "input", 1000)),
    *(
        (bedrock("USE1-Claude4.6Sonnet-input-tokens", service=service), llm("claude-sonnet-4-6", "input", 1000))
        for service in ("AmazonBedrock", "AmazonBedrockService", "AmazonBedrockFoundationModels")
    ),
    (bedrock("USE1-Runtime-vCPU-Hours", "Hours", "AmazonBedrockAgentCore"), Classification("ai_platform")),
    (bedrock("USE1-Guardrail-ContentPolicyUnitsConsumed", "Units"), Classification("ai_platform")),
    (
        bedrock("USE1-NovaLite-Customization-Training-tokens"),
        Classification("llm_api", "fine_tuning", "nova-lite", None, "standard"),
    ),
]
MARKETPLACE = [
    (marketplace("InputTokenCount-Units"), llm("claude-sonnet-4-5", "input", 1_000_000)),
    (marketplace("OutputTokenCount-Units"), llm("claude-sonnet-4-5", "output", 1_000_000)),
    (marketplace("InputTokenCount_Global-Units"), llm("claude-sonnet-4-5", "input", 1_000_000)),
    (marketplace("CacheReadInputTokenCount-Units"), llm("claude-sonnet-4-5", "cache_read", 1_000_000)),
    (marketplace("CacheWriteInputTokenCount-Units"), llm("claude-sonnet-4-5", "cache_write_5m", 1_000_000)),
    (marketplace("CacheWrite1hInputTokenCount-Units"), llm("claude-sonnet-4-5", "cache_write_1h", 1_000_000)),
    (
        marketplace("input_tokens_standard-Units", product="Claude Opus 4.7 (Amazon Bedrock Edition)"),
        llm("claude-opus-4-7", "input", 1_000_000),
    ),
    (marketplace("output_tokens_global_standard-Units"), llm("claude-sonnet-4-5", "output", 1_000_000)),
    (marketplace("input_tokens_batch-Units"), llm("claude-sonnet-4-5", "input", 1_000_000, "batch")),
    (marketplace("InputTokenCount_Batch-Units", "1K tokens"), llm("claude-sonnet-4-5", "input", 1000, "batch")),
    (
        marketplace("InputTokenCount-Units", product="Claude 3.5 Sonnet (Amazon Bedrock Edition)"),
        llm("claude-3-5-sonnet", "input", 1_000_000),
    ),
    (marketplace("InputTokenCount-Units", product="d8g8jd8x6example"), llm(None, "input", 1_000_000)),
    (Sku("aws", "Claude Platform on AWS", None, "USE1-ClaudeConsumptionUnits", None, "Units"), llm(None, None, None)),
]
EC2 = "Amazon Elastic Compute Cloud"


def box(instance: str, usage: str = "USE1-BoxUsage") -> Sku:
    return Sku("aws", EC2, "Compute", f"{usage}:{instance}", None, "Hours")


def sagemaker(meter: str) -> Sku:
    return Sku("aws", "AmazonSageMaker", None, meter, None, "Hrs")


AWS_GPUS = [
    *(
        (box(instance), gpu(kind, count))
        for instance, kind, count in [
            ("p3.2xlarge", "V100", 1),
            ("p4d.24xlarge", "A100-40GB", 8),
            ("p4de.24xlarge", "A100-80GB", 8),
            ("p5.48xlarge", "H100", 8),
            ("p5.4xlarge", "H100", 1),
            ("p5e.48xlarge", "H200", 8),
            ("p5en.48xlarge", "H200", 8),
            ("p6-b200.48xlarge", "B200", 8),
            ("p6-b300.48xlarge", "B300", 8),
            ("p6e-gb200.36xlarge", "GB200", 4),
            ("g4dn.xlarge", "T4", 1),
            ("g4dn.12xlarge", "T4", 4),
            ("g5.48xlarge", "A10G", 8),
            ("g6.12xlarge", "L4", 4),
            ("g6e.48xlarge", "L40S", 8),
            ("g6f.large", "L4", Fraction(1, 8)),
            ("gr6.4xlarge", "L4", 1),
            ("trn1.32xlarge", "Trainium1", 16),
            ("trn2.48xlarge", "Trainium2", 16),
            ("inf1.6xlarge", "Inferentia1", 4),
            ("inf2.48xlarge", "Inferentia2", 12),
        ]
    ),
    (box("p7.96xlarge"), gpu(None, None)),  # a family nobody has seen yet
    (box("p5.24xlarge"), gpu("H100", None)),  # a size nobody has seen yet
    (box("p5.48xlarge", "USE2-SpotUsage"), gpu("H100", 8)),
    (box("p5.48xlarge", "USE2-UnusedBox"), gpu("H100", 8)),
    (box("p5.48xlarge", "BoxUsage"), gpu("H100", 8)),
    (box("p3.8xlarge", "USE1-EBSOptimized"), gpu("V100", None)),
    (box("p5.48xlarge", "USE1-HeavyUsage"), gpu("H100", None)),
    (
        Sku("aws", EC2, "Compute", "SpotUsage", "p4d.24xlarge Linux/UNIX Spot Instance-hour in US East", "Hours"),
        gpu("A100-40GB", 8),
    ),
    (Sku("aws", EC2, "Compute", None, "$1.006 per On Demand Linux g5.xlarge Instance Hour", "Hours"), gpu("A10G", 1)),
    (sagemaker("USE1-Cluster:ml.p4d.24xlarge"), gpu("A100-40GB", 8)),
    (sagemaker("USE1-Host:ml.g5.12xlarge"), gpu("A10G", 4, "inference")),
    (sagemaker("USE1-Train:ml.p5.48xlarge"), gpu("H100", 8, "training")),
    (sagemaker("USE1-Host:ml.m5.large"), Classification("ai_platform")),
    (sagemaker("USE1-Studio:VolumeUsage.gp3"), Classification("ai_platform")),
    (
        Sku("aws", "Amazon Elastic Container Service for Kubernetes", None, "USE1-EKS-Auto:p5.48xlarge", None, "Hours"),
        gpu("H100", None),
    ),
    (box("m5.large"), Classification()),
    (box("r6g.metal"), Classification()),
    (Sku("aws", EC2, "Compute", "USE1-DataTransfer-Out-Bytes", None, "GB"), Classification()),
    (Sku("aws", "AmazonS3", "Storage", "TimedStorage-ByteHrs", None, "GB-Mo"), Classification()),
]


def vertex(sku: str, unit: str = "count") -> Sku:
    return Sku("gcp", "Vertex AI", None, sku, None, unit)


def compute(sku: str, unit: str = "hour") -> Sku:
    return Sku("gcp", "Compute Engine", None, sku, None, unit)


GCP = [
    (vertex("Gemini 2.5 Flash Text Input - Predictions"), llm("gemini-2.5-flash", "input", 1)),
    (vertex("Gemini 2.5 Flash GA Text Output - Predictions"), llm("gemini-2.5-flash", "output", 1)),
    (vertex("Gemini 2.5 Flash Thinking Text Output - Predictions"), llm("gemini-2.5-flash", "reasoning", 1)),
    (vertex("Gemini 2.5 Flash GA Text Output (Thinking On) - Predictions"), llm("gemini-2.5-flash", "output", 1)),
    (vertex("Gemini 2.5 Flash Lite Text Input - Predictions"), llm("gemini-2.5-flash-lite", "input", 1)),
    (vertex("Gemini 2.5 Pro Text Input - Batch Predictions"), llm("gemini-2.5-pro", "input", 1, "batch")),
    (vertex("Gemini 2.5 Flash GA Input Text Caching"), llm("gemini-2.5-flash", "cache_read", 1)),
    (vertex("Gemini 2.5 Flash Input Text Caching Storage", "h"), llm("gemini-2.5-flash", "cache_write_1h", None)),
    (vertex("Claude Sonnet 4.5 Input Tokens"), llm("claude-sonnet-4-5", "input", 1)),
    (
        Sku("gcp", "Gemini API", None, "Generate content input token count gemini 2.5 flash", None, "count"),
        llm("gemini-2.5-flash", "input", 1),
    ),
    (
        vertex("Vertex AI: Training Pipelines on Nvidia H100 80GB GPU running in Iowa", "hour"),
        gpu("H100", 1, "training"),
    ),
    (vertex("Vertex AI: Online Prediction Nvidia L4 GPU running in Iowa", "hour"), gpu("L4", 1, "inference")),
    (vertex("Vertex AI management fee on A3 in Iowa", "hour"), Classification("ai_platform")),
    (compute("Nvidia H100 80GB GPU running in Iowa"), gpu("H100", 1)),
    (compute("Nvidia H100 80GB GPU running in Iowa", "seconds"), gpu("H100", Fraction(1, 3600))),
    (compute("Nvidia L4 GPU attached to Spot Preemptible VMs running in Iowa"), gpu("L4", 1)),
    (compute("A4 Nvidia B200 (1 gpu slice) running in Iowa"), gpu("B200", 1)),
    (compute("Nvidia Tesla A100 80GB GPU running in Iowa"), gpu("A100-80GB", 1)),
    (compute("Nvidia Tesla A100 GPU running in Iowa"), gpu("A100-40GB", 1)),
    (compute("Commitment v1: Nvidia H100 80GB GPU in Iowa for 1 Year"), gpu("H100", None)),
    (compute("TPU-v5e running in Iowa"), gpu("TPU-v5e", 1)),
    # Processors and memory of GPU machines, billed apart: theirs are no hours of a device.
    (compute("A3 Instance Core running in Iowa"), gpu("H100", None)),
    (compute("A3 Instance Ram running in Iowa", "gibibyte hour"), gpu("H100", None)),
    (compute("Spot Preemptible A3 Instance Core running in Iowa"), gpu("H100", None)),
    (compute("A3 Ultra Instance Core running in Iowa"), gpu("H200", None)),
    (compute("A4 Instance Ram running in Iowa"), gpu("B200", None)),
    (compute("A2 Instance Core running in Iowa"), gpu(None, None)),  # of either kind of A100
    (compute("G2 Instance Ram running in Iowa"), gpu("L4", None)),
    (compute("C3 Instance Core running in Iowa"), Classification()),
    (compute("N1 Predefined Instance Ram running in Iowa"), Classification()),
    (compute("E2 Instance Core running in Iowa"), Classification()),
    (Sku("gcp", "Cloud Storage", None, "Standard Storage US Regional", None, "gibibyte month"), Classification()),
]


def azure(meter: str, unit: str | None, service: str = "Azure OpenAI") -> Sku:
    return Sku("azure", service, "AI and Machine Learning", meter, None, unit)


AZURE = [
    (azure("gpt 4o 0513 Input global Tokens", "1K"), llm("gpt-4o", "input", 1000)),
    (azure("gpt 4o 1120 cached Inp glbl Tokens", "1K"), llm("gpt-4o", "cache_read", 1000)),
    (azure("gpt-4o-mini-0718-Outp-glbl Tokens", "1K Tokens"), llm("gpt-4o-mini", "output", 1000)),
    (azure("gpt 4.1 nano Batch Inp glbl Tokens", "1M"), llm("gpt-4.1-nano", "input", 1_000_000, "batch")),
    (azure("GPT 5 Mini cchd Inpt Glbl 1M Tokens", "1M"), llm("gpt-5-mini", "cache_read", 1_000_000)),
    (azure("o3 mini 0131 Batch Outp Data Zone", "1K"), llm("o3-mini", "output", 1000, "batch")),
    (azure("o1 1217 Inp glbl", "1K"), llm("o1", "input", 1000)),
    (azure("gpt-35-turbo 0125 Inp regnl", "Units"), llm("gpt-3.5-turbo", "input", 1)),
    (azure("Provisioned Managed Global PTU", "1 Hour"), llm(None, None, None, "provisioned")),
    (azure("text embedding 3 large glbl Tokens", "1K", "Foundry Models"), llm("text-embedding-3-large", "input", 1000)),
    (azure("NC24ads A100 v4", "1 Hour", "Virtual Machines"), gpu("A100-80GB", 1)),
    (azure("Standard_ND96isr_H100_v5", "Hours", "Virtual Machines"), gpu("H100", 8)),
    (azure("ND96isr H200 v5 Spot", "100 Hours", "Virtual Machines"), gpu("H200", 800)),
    (azure("D8s v5", "1 Hour", "Virtual Machines"), Classification("unclassified")),
    (azure("Standard Workspace", "1 Hour", "Azure Machine Learning"), Classification("ai_platform")),
    (azure("S1 Text Records", "1K", "Cognitive Services"), Classification("ai_platform")),
]
APIS = [
    (
        Sku("openai", "OpenAI API", None, "gpt-5-nano, input_tokens", None, "tokens", "gpt-5-nano", "input"),
        llm("gpt-5-nano", "input", 1),
    ),
    (
        Sku(
            "openai",
            "OpenAI API",
            None,
            "gpt-4o-2024-08-06, cached input",
            None,
            "1000_tokens",
            "gpt-4o-2024-08-06",
            "cache_read",
        ),
        llm("gpt-4o", "cache_read", 1000),
    ),
    (
        Sku("openai", "OpenAI API", None, "gpt-5-mini batch, output", None, "tokens", "gpt-5-mini", "output"),
        llm("gpt-5-mini", "output", 1, "batch"),
    ),
    (Sku("openai", "OpenAI API", None, "web search tool calls"), llm(None, None, None)),
    (
        Sku("openai", "OpenAI API", None, "ft:gpt-4o-mini:acme::x training", None, "tokens"),
        Classification("llm_api", "fine_tuning", "gpt-4o-mini", None, "standard"),
    ),
    *(
        (
            Sku(
                "anthropic",
                "Claude API",
                None,
                "tokens",
                f"Claude Sonnet 4.5 Usage - {said}",
                "tokens",
                "claude-sonnet-4-5-20250929",
                told,
            ),
            llm("claude-sonnet-4-5", meant, 1),
        )
        for said, told, meant in [
            ("Input Tokens", "uncached_input_tokens", "input"),
            ("Output Tokens", "output_tokens", "output"),
            ("Cache Read", "cache_read_input_tokens", "cache_read"),
            ("Cache Write (5m)", "cache_creation.ephemeral_5m_input_tokens", "cache_write_5m"),
            ("Cache Write (1h)", "cache_creation.ephemeral_1h_input_tokens", "cache_write_1h"),
        ]
    ),
    (Sku("openrouter", "OpenRouter", None, None, None, None, "openai/gpt-4.1"), llm("gpt-4.1", None, None)),
    (
        Sku("openrouter", "OpenRouter", None, None, None, None, "moonshotai/some-new-model:free"),
        llm("some-new-model", None, None),
    ),
]
OTHERS = [
    (Sku("coreweave", "Compute", None, "NVIDIA H100 HGX GPU", None, "GPU Hours"), gpu("H100", 1)),
    (Sku("oci", "Generative AI", None, "Large Cohere tokens", None, "Tokens"), llm(None, None, None)),
    (Sku("vercel", "AI Gateway", None, "AI Gateway usage"), llm(None, None, None)),
    (Sku("acme", "Something", None, "LLM input tokens", None, "tokens"), Classification("unclassified")),
    (Sku("acme", "AI Gateway", None, "requests"), Classification("unclassified")),
    (Sku("acme", "Thing", "AI and Machine Learning", "unit"), Classification("unclassified")),
    (Sku("acme", "Thing", "Storage", "unit"), Classification()),
    (Sku(None, None), Classification()),
]


@pytest.mark.parametrize(
    ("sku", "expected"),
    [*BEDROCK, *MARKETPLACE, *AWS_GPUS, *GCP, *AZURE, *APIS, *OTHERS],
    ids=lambda value: str(value)[:90],
)
def test_a_sku_is_what_it_is(sku: Sku, expected: Classification) -> None:
    assert classify(sku, DAY) == expected


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("us.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet"),
        ("claude-3-7-sonnet@20250219", "claude-3-7-sonnet"),
        ("anthropic/claude-haiku-4.5", "claude-haiku-4-5"),
        ("Claude 4.6 Sonnet (Amazon Bedrock Edition)", "claude-sonnet-4-6"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4.1-nano", "gpt-4.1-nano"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-5-codex", "gpt-5-codex"),
        ("o4-mini-2025-04-16", "o4-mini"),
        ("text-embedding-3-small", "text-embedding-3-small"),
        ("google/gemini-2.5-flash-lite", "gemini-2.5-flash-lite"),
        ("meta.llama3-1-70b-instruct-v1:0", "llama-3.1-70b"),
        ("USE1-Llama3-8B-input-tokens", "llama-3-8b"),
        ("meta.llama3-70b-instruct-v1:0", "llama-3-70b"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama-3-8b"),
        ("Llama 2 Chat 13B", "llama-2-13b"),
        ("meta.llama3-2-1b-instruct-v1:0", "llama-3.2-1b"),
        ("Llama 3.1 API Service 405B", "llama-3.1-405b"),
        ("mistral.mistral-7b-instruct-v0:2", "mistral-7b"),
        ("USE1-Mixtral8x7B-input-tokens", "mixtral-8x7b"),
        ("Ministral 3 14B", "ministral-3-14b"),
        ("USE1-PixtralLarge2502-output-tokens", "pixtral-large"),
        ("USE1-CommandRPlus-input-tokens", "command-r-plus"),
        ("Cohere Command R+", "command-r-plus"),
        ("claude-sonnet-4-0", "claude-sonnet-4"),
        ("Claude Haiku 3", "claude-3-haiku"),
        ("Claude Sonnet 3.7", "claude-3-7-sonnet"),
        ("Claude Mythos 5 (Amazon Bedrock Edition)", "claude-mythos-5"),
        ("USE1-Claude5Mythos-input-tokens", "claude-mythos-5"),
        ("amazon.titan-embed-image-v1", "titan-embed-image"),
        ("USE1-NovaMultimodalEmbeddings-input-tokens", "nova-multimodal-embeddings"),
        ("amazon.nova-micro-v1:0", "nova-micro"),
        ("mistral-large-2407", "mistral-large"),
        ("deepseek-r1", "deepseek-r1"),
        ("acme/brand-new-9-2026-01-01", "brand-new-9"),
    ],
)
def test_model_ids(text: str, model: str) -> None:
    assert classification.find_model(Sku("openrouter", model=text), DAY) == model


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("AWS", "aws"),
        ("Amazon Web Services, Inc.", "aws"),
        ("Amazon Web Services EMEA SARL", "aws"),
        ("Amazon Web Services Canada, Inc.", "aws"),
        ("AMCS LLC", "aws"),
        ("Google Cloud", "gcp"),
        ("gcp_billing", "gcp"),
        ("Microsoft", "azure"),
        ("Azure OpenAI", "azure"),
        ("Oracle", "oci"),
        ("OpenAI", "openai"),
        ("openai", "openai"),
        ("Anthropic, PBC", "anthropic"),
        ("OpenRouter", "openrouter"),
        ("aws.bedrock", "aws"),
        ("bedrock", "aws"),
        ("vertex_ai", "gcp"),
        ("gcp.gemini", "gcp"),
        ("azure.ai.openai", "azure"),
        ("azure_openai", "azure"),
        ("az.ai.openai", "azure"),
        ("gemini", "gcp"),
        ("Generative Language API", "gcp"),
        ("sagemaker_chat", "aws"),
        ("anthropic_text", "anthropic"),
        ("text-completion-openai", "openai"),
        ("cohere_chat", "cohere"),
        ("together_ai", "together"),
        ("fireworks_ai", "fireworks"),
        ("text-completion-codestral", "mistral"),
        ("mistral_ai", "mistral"),
        ("x_ai", "xai"),
        ("Lambda, Inc.", "lambda"),
        ("Lambda Cloud", "lambda"),
        ("Lambda", "lambda"),
        ("New Cloud GmbH", "new_cloud_gmbh"),
        (None, None),
        ("", None),
    ],
)
def test_provider_slugs(name: str | None, slug: str | None) -> None:
    assert provider_slug(name, day=DAY) == slug


def test_the_first_name_that_is_known_decides() -> None:
    assert provider_slug("Reseller", "Amazon Web Services, Inc.", day=DAY) == "aws"
    assert provider_slug("AWS", "Google", day=DAY) == "aws"


def test_answers_keep_to_their_vocabulary() -> None:
    for sku, _ in [*BEDROCK, *MARKETPLACE, *AWS_GPUS, *GCP, *AZURE, *APIS, *OTHERS]:
        what = classify(sku, DAY)
        assert what.ai_kind in {"llm_api", "gpu", "ai_platform", "other", "unclassified"}
        assert what.workload in {"inference", "training", "fine_tuning", "evaluation", "unknown"}
        assert what.token_type in TOKEN_TYPES | {None}
        assert what.pricing_tier in TIERS | {None}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_sound(name: str) -> None:
    with (FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as handle:
        records = list(csv.DictReader(handle, strict=True))
    assert records
    assert all(None not in record and None not in record.values() for record in records)
    assert {"valid_from", "valid_to", "note"} <= records[0].keys()
    assert len(read_table(name)) == len(records)
    values = {"token_type": TOKEN_TYPES | {""}, "pricing_tier": TIERS, "counts_gpu_hours": {"yes", "no"}}
    for record in records:
        assert all(record[column] in allowed for column, allowed in values.items() if column in record)


def test_patterns_are_dated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row holds from its first day to the day before its last: the table's past stays what it was."""
    for path in FOLDER.glob("*.csv"):
        (tmp_path / path.name).write_text(path.read_text())
    with (tmp_path / "kinds.csv").open("a") as handle:
        handle.write('acme,shop,,,llm_api,inference,2026-02-01,2026-03-01,"sold models for a month"\n')
    monkeypatch.setattr(classification, "FOLDER", tmp_path)
    sku = Sku("acme", "Shop")
    kinds = [
        classify(sku, day).ai_kind for day in (date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 28), date(2026, 3, 1))
    ]
    assert kinds == ["other", "llm_api", "llm_api", "other"]
    assert boundaries() == (date(2026, 2, 1), date(2026, 3, 1))


def test_patterns_are_what_python_and_people_read() -> None:
    """No pattern matches the empty text: it would take everything that stands below it."""
    for name in TABLES:
        for row in read_table(name):
            assert not any(re.search(pattern, "") for pattern in row.patterns.values()), (name, row.cells)


def classify_many(skus: list[Sku]) -> list[Any]:
    return [classify(sku, DAY) for sku in skus]


def test_a_large_bill_has_many_skus_and_they_are_quick() -> None:
    import time

    skus = [Sku("aws", f"Service {n % 40}", "Compute", f"USE1-meter-{n}", f"$0.{n} per GB", "GB") for n in range(3000)]
    started = time.process_time()
    classify_many(skus)
    assert time.process_time() - started < 3
