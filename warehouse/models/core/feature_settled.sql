-- Until which day each feature's cost is settled, and which source it waits for.
--
-- Grain: one row per feature that a source of ops.settled ever charged.
-- Units: UTC days.
-- Which sources count: those that carried at least a hundredth of the feature's cost over their own last 28 settled
--   days and what came since (all that ever charged it, where none did). A smaller part can neither make a break nor hide one. A source
--   more than 45 days late counts as ended, unless the feature has no other: the step that its end makes is then older
--   than what the detector looks back on. A source that is not listed in ops.settled is no longer read.
-- Columns:
--   settled_through: the last day that all of these sources have settled.
--   due_through: the day it would be if none of them were late.
--   waits_for: the sources that are late, by name; null where none is.
--   is_late: whether one of them is.
WITH spent AS (
    SELECT
        a.feature,
        a.source_name,
        sum(abs(coalesce(a.effective_cost_usd, a.billed_cost_usd, 0))) FILTER (
            WHERE a.charge_date >= s.settled_through - 27
        ) AS recent_cost_usd
    FROM core.allocations AS a
    JOIN ops.settled AS s ON s.source_name = a.source_name
    GROUP BY a.feature, a.source_name
),
parts AS (
    SELECT
        p.feature,
        p.source_name,
        s.settled_through,
        coalesce(s.due_through, s.settled_through) AS due_through,
        coalesce(s.due_through > s.settled_through, FALSE) AS is_late,
        coalesce(s.due_through - s.settled_through, 0) AS late_days,
        coalesce(100 * p.recent_cost_usd >= sum(p.recent_cost_usd) OVER of_feature AND p.recent_cost_usd > 0, FALSE)
            AS is_material,
        s.settled_through = max(s.settled_through) OVER of_feature AS is_newest
    FROM spent AS p
    JOIN ops.settled AS s ON s.source_name = p.source_name
    WINDOW of_feature AS (PARTITION BY p.feature)
),
ranked AS (
    SELECT
        *,
        CASE WHEN is_material AND late_days <= 45 THEN 1 WHEN late_days <= 45 THEN 2 WHEN is_newest THEN 3 END AS rank
    FROM parts
),
counted AS (
    SELECT * FROM ranked QUALIFY rank = min(rank) OVER (PARTITION BY feature)
)
SELECT
    feature,
    min(settled_through) AS settled_through,
    min(due_through) AS due_through,
    string_agg(source_name, ', ' ORDER BY source_name) FILTER (WHERE is_late) AS waits_for,
    bool_or(is_late) AS is_late
FROM counted
GROUP BY feature
