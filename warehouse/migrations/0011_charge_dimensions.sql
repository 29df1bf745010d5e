-- Charges are kept in two tables: what they say of themselves, once per combination, and what they amount to, per day.
-- A bill of ten million rows has a few thousand combinations and some hundred thousand daily amounts: to write its texts
-- once is most of what makes a load fast. `core.charges` is both, joined, as before.
CREATE TABLE core.charge_dimensions (
    charge_group BIGINT NOT NULL,
    is_shadow BOOLEAN NOT NULL,   -- loaded and compared, and in no total: `role: shadow`
    source_name VARCHAR NOT NULL,
    source_type VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    delivery_id VARCHAR NOT NULL,
    billing_period_start DATE,
    billing_account_id VARCHAR,
    sub_account_id VARCHAR,
    sub_account_name VARCHAR,
    invoice_issuer_name VARCHAR,
    provider_name VARCHAR,
    provider VARCHAR,
    service_name VARCHAR,
    service_category VARCHAR,
    sku_id VARCHAR,
    sku_meter VARCHAR,
    charge_description VARCHAR,
    charge_category VARCHAR,
    charge_class VARCHAR,
    commitment_discount_status VARCHAR,
    region_id VARCHAR,
    api_key_id VARCHAR,
    ai_kind VARCHAR NOT NULL,
    workload VARCHAR NOT NULL,
    model VARCHAR,
    token_type VARCHAR,
    pricing_tier VARCHAR,
    gpu_type VARCHAR,
    consumed_unit VARCHAR,
    billing_currency VARCHAR NOT NULL,
    basis VARCHAR NOT NULL
);

CREATE TABLE core.charge_amounts (
    charge_group BIGINT NOT NULL,
    charge_date DATE NOT NULL,
    resource_id VARCHAR,
    tags VARCHAR,
    consumed_quantity DECIMAL(38, 12),
    tokens DECIMAL(38, 6),
    gpu_hours DECIMAL(38, 12),
    billed_cost DECIMAL(38, 12),
    effective_cost DECIMAL(38, 12),
    list_cost DECIMAL(38, 12),
    -- Null where the bill is in US dollars: they are the amounts above.
    billed_cost_usd DECIMAL(38, 12),
    effective_cost_usd DECIMAL(38, 12),
    list_cost_usd DECIMAL(38, 12),
    source_rows BIGINT NOT NULL
);

INSERT INTO core.charge_dimensions
SELECT row_number() OVER () AS charge_group, *
FROM (
    SELECT DISTINCT FALSE AS is_shadow,
        source_name, source_type, scope, delivery_id, billing_period_start, billing_account_id, sub_account_id,
        sub_account_name, invoice_issuer_name, provider_name, provider, service_name, service_category, sku_id,
        sku_meter, charge_description, charge_category, charge_class, commitment_discount_status, region_id,
        api_key_id, ai_kind, workload, model, token_type, pricing_tier, gpu_type, consumed_unit, billing_currency,
        basis
    FROM core.charges
    UNION ALL
    SELECT DISTINCT TRUE AS is_shadow,
        source_name, source_type, scope, delivery_id, billing_period_start, billing_account_id, sub_account_id,
        sub_account_name, invoice_issuer_name, provider_name, provider, service_name, service_category, sku_id,
        sku_meter, charge_description, charge_category, charge_class, commitment_discount_status, region_id,
        api_key_id, ai_kind, workload, model, token_type, pricing_tier, gpu_type, consumed_unit, billing_currency,
        basis
    FROM core.shadow_charges
);

INSERT INTO core.charge_amounts BY NAME
SELECT
    d.charge_group,
    c.charge_date, c.resource_id, c.tags, c.consumed_quantity, c.tokens, c.gpu_hours, c.billed_cost,
    c.effective_cost, c.list_cost,
    CASE WHEN c.billing_currency <> 'USD' OR c.billed_cost_usd IS DISTINCT FROM c.billed_cost THEN c.billed_cost_usd END AS billed_cost_usd,
    CASE WHEN c.billing_currency <> 'USD' OR c.effective_cost_usd IS DISTINCT FROM c.effective_cost THEN c.effective_cost_usd END AS effective_cost_usd,
    CASE WHEN c.billing_currency <> 'USD' OR c.list_cost_usd IS DISTINCT FROM c.list_cost THEN c.list_cost_usd END AS list_cost_usd,
    c.source_rows
FROM (
    SELECT FALSE AS is_shadow, * FROM core.charges
    UNION ALL BY NAME
    SELECT TRUE AS is_shadow, * FROM core.shadow_charges
) AS c
JOIN core.charge_dimensions AS d
    ON d.is_shadow = c.is_shadow
    AND d.source_name = c.source_name
    AND d.source_type = c.source_type
    AND d.scope = c.scope
    AND d.delivery_id = c.delivery_id
    AND d.billing_period_start IS NOT DISTINCT FROM c.billing_period_start
    AND d.billing_account_id IS NOT DISTINCT FROM c.billing_account_id
    AND d.sub_account_id IS NOT DISTINCT FROM c.sub_account_id
    AND d.sub_account_name IS NOT DISTINCT FROM c.sub_account_name
    AND d.invoice_issuer_name IS NOT DISTINCT FROM c.invoice_issuer_name
    AND d.provider_name IS NOT DISTINCT FROM c.provider_name
    AND d.provider IS NOT DISTINCT FROM c.provider
    AND d.service_name IS NOT DISTINCT FROM c.service_name
    AND d.service_category IS NOT DISTINCT FROM c.service_category
    AND d.sku_id IS NOT DISTINCT FROM c.sku_id
    AND d.sku_meter IS NOT DISTINCT FROM c.sku_meter
    AND d.charge_description IS NOT DISTINCT FROM c.charge_description
    AND d.charge_category IS NOT DISTINCT FROM c.charge_category
    AND d.charge_class IS NOT DISTINCT FROM c.charge_class
    AND d.commitment_discount_status IS NOT DISTINCT FROM c.commitment_discount_status
    AND d.region_id IS NOT DISTINCT FROM c.region_id
    AND d.api_key_id IS NOT DISTINCT FROM c.api_key_id
    AND d.ai_kind = c.ai_kind
    AND d.workload = c.workload
    AND d.model IS NOT DISTINCT FROM c.model
    AND d.token_type IS NOT DISTINCT FROM c.token_type
    AND d.pricing_tier IS NOT DISTINCT FROM c.pricing_tier
    AND d.gpu_type IS NOT DISTINCT FROM c.gpu_type
    AND d.consumed_unit IS NOT DISTINCT FROM c.consumed_unit
    AND d.billing_currency = c.billing_currency
    AND d.basis = c.basis;

DROP TABLE core.charges;
DROP TABLE core.shadow_charges;

CREATE VIEW core.charges AS
SELECT
    d.source_name, d.source_type, d.scope, d.delivery_id, a.charge_date, d.billing_period_start,
    d.billing_account_id, d.sub_account_id, d.sub_account_name, d.invoice_issuer_name, d.provider_name, d.provider,
    d.service_name, d.service_category, d.sku_id, d.sku_meter, d.charge_description, d.charge_category,
    d.charge_class, d.commitment_discount_status, d.region_id, a.resource_id, d.api_key_id, a.tags, d.ai_kind,
    d.workload, d.model, d.token_type, d.pricing_tier, d.gpu_type, a.consumed_quantity, d.consumed_unit, a.tokens,
    a.gpu_hours, a.billed_cost, a.effective_cost, a.list_cost, d.billing_currency,
    coalesce(a.billed_cost_usd, CASE WHEN d.billing_currency = 'USD' THEN a.billed_cost END) AS billed_cost_usd,
    coalesce(a.effective_cost_usd, CASE WHEN d.billing_currency = 'USD' THEN a.effective_cost END) AS effective_cost_usd,
    coalesce(a.list_cost_usd, CASE WHEN d.billing_currency = 'USD' THEN a.list_cost END) AS list_cost_usd, d.basis,
    a.source_rows
FROM core.charge_amounts AS a
JOIN core.charge_dimensions AS d ON d.charge_group = a.charge_group
WHERE NOT d.is_shadow;

CREATE VIEW core.shadow_charges AS
SELECT
    d.source_name, d.source_type, d.scope, d.delivery_id, a.charge_date, d.billing_period_start,
    d.billing_account_id, d.sub_account_id, d.sub_account_name, d.invoice_issuer_name, d.provider_name, d.provider,
    d.service_name, d.service_category, d.sku_id, d.sku_meter, d.charge_description, d.charge_category,
    d.charge_class, d.commitment_discount_status, d.region_id, a.resource_id, d.api_key_id, a.tags, d.ai_kind,
    d.workload, d.model, d.token_type, d.pricing_tier, d.gpu_type, a.consumed_quantity, d.consumed_unit, a.tokens,
    a.gpu_hours, a.billed_cost, a.effective_cost, a.list_cost, d.billing_currency,
    coalesce(a.billed_cost_usd, CASE WHEN d.billing_currency = 'USD' THEN a.billed_cost END) AS billed_cost_usd,
    coalesce(a.effective_cost_usd, CASE WHEN d.billing_currency = 'USD' THEN a.effective_cost END) AS effective_cost_usd,
    coalesce(a.list_cost_usd, CASE WHEN d.billing_currency = 'USD' THEN a.list_cost END) AS list_cost_usd, d.basis,
    a.source_rows
FROM core.charge_amounts AS a
JOIN core.charge_dimensions AS d ON d.charge_group = a.charge_group
WHERE d.is_shadow;

-- A lake knows no comments on the columns of a view.
COMMENT ON VIEW core.charges IS 'Every charge that counts, as the bills say it, before it is given to features.

Grain: one row per delivery, day, tags and every other dimension; charges that are not AI are added up per account, service and category.';
COMMENT ON COLUMN core.charge_dimensions.source_name IS 'The source of trendbreak.yml that brought it.';
COMMENT ON COLUMN core.charge_dimensions.scope IS 'Which of the source''s deliveries it is of: a billing period, a file, or empty for windows of days.';
COMMENT ON COLUMN core.charge_amounts.charge_date IS 'The UTC day on which its charge period starts.';
COMMENT ON COLUMN core.charge_dimensions.sub_account_id IS 'Account, project or workspace.';
COMMENT ON COLUMN core.charge_dimensions.provider_name IS 'As the bill writes it.';
COMMENT ON COLUMN core.charge_dimensions.provider IS 'Canonical: aws, gcp, azure, openai, anthropic, …';
COMMENT ON COLUMN core.charge_dimensions.charge_class IS 'Null, or Correction: of a closed period.';
COMMENT ON COLUMN core.charge_dimensions.commitment_discount_status IS 'Null, Used or Unused: an unused commitment is nobody''s own.';
COMMENT ON COLUMN core.charge_amounts.resource_id IS 'Of AI charges, and of all charges of a resource with a GPU on that day.';
COMMENT ON COLUMN core.charge_amounts.tags IS 'A JSON object with sorted keys, or null.';
COMMENT ON COLUMN core.charge_dimensions.ai_kind IS 'llm_api, gpu, ai_platform, other or unclassified.';
COMMENT ON COLUMN core.charge_dimensions.workload IS 'inference, training, fine_tuning, evaluation or unknown.';
COMMENT ON COLUMN core.charge_dimensions.model IS 'Canonical, as in claude-sonnet-4-5.';
COMMENT ON COLUMN core.charge_dimensions.token_type IS 'input, cache_read, cache_write_5m, cache_write_1h, output or reasoning.';
COMMENT ON COLUMN core.charge_dimensions.pricing_tier IS 'standard, batch, flex, priority or provisioned.';
COMMENT ON COLUMN core.charge_amounts.consumed_quantity IS 'In consumed_unit; of AI charges.';
COMMENT ON COLUMN core.charge_amounts.tokens IS 'Single tokens, whatever the bill''s unit.';
COMMENT ON COLUMN core.charge_amounts.gpu_hours IS 'Device hours: instance hours × devices.';
COMMENT ON COLUMN core.charge_amounts.billed_cost IS 'What is invoiced, in billing_currency.';
COMMENT ON COLUMN core.charge_amounts.effective_cost IS 'What was used: commitments spread over what they cover.';
COMMENT ON COLUMN core.charge_amounts.list_cost IS 'Without discounts; null where the bill does not tell it.';
COMMENT ON COLUMN core.charge_amounts.effective_cost_usd IS 'By the dated rate of currency_rates.';
COMMENT ON COLUMN core.charge_dimensions.basis IS 'reported or estimated.';
COMMENT ON COLUMN core.charge_amounts.source_rows IS 'Rows of the bill that were added up into this one; 0 for a part of another.';
COMMENT ON VIEW core.shadow_charges IS 'The charges of sources with `role: shadow`: loaded and compared, and in no total.

Grain: that of core.charges, with its columns.';
