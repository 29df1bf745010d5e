-- Providers that bill calls to models: no machine of ours serves what telemetry calls by their name.
--
-- Grain: one row per provider.
-- Units: none.
SELECT DISTINCT provider FROM core.charges WHERE ai_kind IN ('llm_api', 'ai_platform') AND provider IS NOT NULL
