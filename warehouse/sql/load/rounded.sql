-- Amounts that have more decimals than money keeps, and the difference of their sums.
SELECT count(*), coalesce(sum(kept_amount - exact_amount), 0)
FROM (SELECT {{ exact }} AS exact_amount, try_cast({{ money }} AS DECIMAL(38, 24)) AS kept_amount FROM {{ relation }})
WHERE exact_amount <> kept_amount
