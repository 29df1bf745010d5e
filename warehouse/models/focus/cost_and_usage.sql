-- Every charge of every source under the column names and types of FOCUS 1.2, for tools that read FOCUS.
--
-- Grain: one row per source, account, day and every dimension that core.charges keeps: charges that are not AI are
--   added up per day, account, service and tags.
-- Units: billing currency (BillingCurrency); instants in UTC; Tags and other JSON columns are texts. Columns that begin with x_ are
--   ours, as FOCUS wants custom columns named.
-- Unknown is null, also where FOCUS wants a value and no bill that is read here keeps one: ContractedCost,
--   ListCost of sources without list prices, ChargeFrequency of anything but usage, and the quantities
--   and prices per unit. PublisherName repeats ProviderName, and PricingCurrency BillingCurrency: bills are
--   added up over them.
-- Without a billing period of its own (usage APIs) a charge belongs to its calendar month.
SELECT
    NULL::VARCHAR AS AvailabilityZone,
    billed_cost AS BilledCost,
    billing_account_id AS BillingAccountId,
    NULL::VARCHAR AS BillingAccountName,
    NULL::VARCHAR AS BillingAccountType,
    billing_currency AS BillingCurrency,
    (coalesce(billing_period_start, date_trunc('month', charge_date)::DATE) + INTERVAL 1 MONTH)::TIMESTAMP AS BillingPeriodEnd,
    coalesce(billing_period_start, date_trunc('month', charge_date)::DATE)::TIMESTAMP AS BillingPeriodStart,
    NULL::VARCHAR AS CapacityReservationId,
    NULL::VARCHAR AS CapacityReservationStatus,
    charge_category AS ChargeCategory,
    charge_class AS ChargeClass,
    charge_description AS ChargeDescription,
    CASE WHEN charge_category = 'Usage' THEN 'Usage-Based' END AS ChargeFrequency,
    (charge_date + 1)::TIMESTAMP AS ChargePeriodEnd,
    charge_date::TIMESTAMP AS ChargePeriodStart,
    NULL::VARCHAR AS CommitmentDiscountCategory,
    NULL::VARCHAR AS CommitmentDiscountId,
    NULL::VARCHAR AS CommitmentDiscountName,
    NULL::DECIMAL(38, 12) AS CommitmentDiscountQuantity,
    commitment_discount_status AS CommitmentDiscountStatus,
    NULL::VARCHAR AS CommitmentDiscountType,
    NULL::VARCHAR AS CommitmentDiscountUnit,
    consumed_quantity AS ConsumedQuantity,
    consumed_unit AS ConsumedUnit,
    NULL::DECIMAL(38, 12) AS ContractedCost,
    NULL::DECIMAL(38, 12) AS ContractedUnitPrice,
    effective_cost AS EffectiveCost,
    NULL::VARCHAR AS InvoiceId,
    coalesce(invoice_issuer_name, provider_name) AS InvoiceIssuerName,
    list_cost AS ListCost,
    NULL::DECIMAL(38, 12) AS ListUnitPrice,
    NULL::VARCHAR AS PricingCategory,
    billing_currency AS PricingCurrency,
    NULL::DECIMAL(38, 12) AS PricingCurrencyContractedUnitPrice,
    effective_cost AS PricingCurrencyEffectiveCost,
    NULL::DECIMAL(38, 12) AS PricingCurrencyListUnitPrice,
    NULL::DECIMAL(38, 12) AS PricingQuantity,
    NULL::VARCHAR AS PricingUnit,
    provider_name AS ProviderName,
    provider_name AS PublisherName,
    region_id AS RegionId,
    NULL::VARCHAR AS RegionName,
    resource_id AS ResourceId,
    NULL::VARCHAR AS ResourceName,
    NULL::VARCHAR AS ResourceType,
    CASE
        WHEN service_category IS NOT NULL THEN service_category
        WHEN ai_kind IN ('llm_api', 'ai_platform') THEN 'AI and Machine Learning'
        ELSE 'Other'
    END AS ServiceCategory,
    coalesce(service_name, provider_name) AS ServiceName,
    NULL::VARCHAR AS ServiceSubcategory,
    sku_id AS SkuId,
    sku_meter AS SkuMeter,
    NULL::VARCHAR AS SkuPriceDetails,
    NULL::VARCHAR AS SkuPriceId,
    sub_account_id AS SubAccountId,
    sub_account_name AS SubAccountName,
    NULL::VARCHAR AS SubAccountType,
    tags AS Tags,
    source_name AS x_SourceName,
    provider AS x_Provider,
    ai_kind AS x_AiKind,
    workload AS x_Workload,
    model AS x_Model,
    token_type AS x_TokenType,
    tokens AS x_Tokens,
    gpu_type AS x_GpuType,
    gpu_hours AS x_GpuHours,
    api_key_id AS x_ApiKeyId,
    basis AS x_Basis,
    billed_cost_usd AS x_BilledCostUsd,
    effective_cost_usd AS x_EffectiveCostUsd
FROM core.charges
