-- fail: a feature has two rows
SELECT feature, count(*) AS row_count
FROM core.feature_settled
GROUP BY feature
HAVING count(*) > 1;

-- fail: a feature is settled beyond the day it can be
SELECT feature, settled_through, due_through
FROM core.feature_settled
WHERE settled_through > due_through;
