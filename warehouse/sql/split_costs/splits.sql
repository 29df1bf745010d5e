-- The split rows of one group of files.
SELECT
    {{ c.day("line_item_usage_start_date") }} AS charge_date,
    {{ c.text("split_line_item_parent_resource_id") }} AS resource_id,
    {{ c.cur_tags() }} AS raw_tags,
    {{ c.whole_money("split_line_item_split_cost") }} AS split_cost
FROM {{ relation }}
WHERE {{ c.text("line_item_operation") }} IN ('EKSPod-EC2', 'ECSTask-EC2')
