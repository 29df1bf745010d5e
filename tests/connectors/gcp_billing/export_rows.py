"""Rows as Google's billing export writes them, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

TABLE = "gcp_billing_export_v1_01AB2C_3D4E5F_678901"
DETAILED_TABLE = "gcp_billing_export_resource_v1_01AB2C_3D4E5F_678901"
FOCUS_TABLE = "gcp_billing_export_focus_01AB2C_3D4E5F_678901"
SCOPE = "01AB2C_3D4E5F_678901"
ACCOUNT = "01AB2C-3D4E5F-678901"
GEMINI = "Gemini 2.5 Flash Text Input - Predictions"


def row(
    used: str = "2026-01-05T10:00:00",
    cost: Any = "1.25",
    *,
    exported: str = "2026-01-05T23:30:00",
    sku: str = GEMINI,
    service: str = "Vertex AI",
    quantity: Any = 1000,
    unit: str = "count",
    credits: Iterable[tuple[str, Any]] = (),
    labels: Mapping[str, str] | None = None,
    project: str | None = "acme-search",
    **more: Any,
) -> dict[str, Any]:
    """One hour of one SKU. `credits`: (type, amount); amounts are negative."""
    start = datetime.fromisoformat(used).replace(tzinfo=UTC)
    return {
        "billing_account_id": ACCOUNT,
        "service": {"id": "C7E2-9256-1C43", "description": service},
        "sku": {"id": f"SKU-{len(sku):02d}", "description": sku},
        "usage_start_time": start.isoformat(),
        "usage_end_time": (start + timedelta(hours=1)).isoformat(),
        "project": {"id": project, "number": "42", "name": "Search", "labels": []} if project else None,
        "labels": [{"key": key, "value": text} for key, text in (labels or {}).items()],
        "system_labels": [],
        "location": {"location": "us-central1", "country": "US", "region": "us-central1", "zone": None},
        "cost": cost,
        "cost_at_list": cost,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "usage": {"amount": quantity, "unit": unit, "amount_in_pricing_units": quantity, "pricing_unit": unit},
        "credits": [{"name": kind, "amount": amount, "type": kind} for kind, amount in credits],
        "invoice": {"month": f"{start:%Y%m}"},
        "cost_type": "regular",
        "export_time": f"{exported}+00:00",
        **more,
    }


def net(rows: Iterable[Mapping[str, Any]]) -> Decimal:
    """Σ cost + Σ credits, exactly."""
    total = Decimal(0)
    for one in rows:
        total += Decimal(str(one["cost"] or 0)) + sum(Decimal(str(part["amount"])) for part in one["credits"])
    return total


def focus_row(
    used: str = "2026-01-05T10:00:00",
    cost: Any = "1.25",
    *,
    exported: str = "2026-01-05T23:30:00",
    credits: Iterable[tuple[str, Any]] = (),
    labels: Mapping[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One hour in FOCUS terms; `cost` is net of `credits`, as Google writes it."""
    start = datetime.fromisoformat(used).replace(tzinfo=UTC)
    return {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ContractedCost": cost,
        "ListCost": "2.5",
        "BillingAccountId": ACCOUNT,
        "BillingCurrency": "USD",
        # Google's billing periods are months of Pacific time.
        "BillingPeriodStart": "2026-01-01T08:00:00+00:00",
        "BillingPeriodEnd": "2026-02-01T08:00:00+00:00",
        "ChargeCategory": "Usage",
        "ChargeDescription": GEMINI,
        "ChargePeriodStart": start.isoformat(),
        "ChargePeriodEnd": (start + timedelta(hours=1)).isoformat(),
        "ConsumedQuantity": "1000",
        "ConsumedUnit": "count",
        "ProviderName": "Google Cloud",
        "RegionId": "us-central1",
        "ResourceId": "//aiplatform.googleapis.com/projects/42/endpoints/7",
        "ServiceName": "Vertex AI",
        "SkuId": "SKU-1",
        "SubAccountId": "acme-search",
        "SubAccountName": "Search",
        "x_CostType": "regular",
        "x_Credits": [{"Name": kind, "Amount": amount, "Type": kind} for kind, amount in credits],
        "x_ExportTime": f"{exported}+00:00",
        "x_Labels": [{"Key": key, "Value": text} for key, text in (labels or {}).items()],
        "x_ProjectLabels": [{"Key": "env", "Value": "prod"}],
        **more,
    }
