-- What a month said before stays where an invoice of it is to be explained: what came late is the difference to it.
DELETE FROM ops.delivery_days AS d
WHERE NOT d.is_current AND d.superseded_at < $keep_after
{% if has_invoices %}
  AND NOT EXISTS (
      SELECT 1
      FROM core.invoices AS i
      WHERE i.source_name = d.source_name
        AND i.month = date_trunc('month', coalesce(d.billing_period_start, d.charge_date))::DATE
  )
{% endif %}
