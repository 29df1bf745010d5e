UPDATE staging.stg_calls
SET is_duplicate = {{ "TRUE" if is_duplicate else "FALSE" }}
WHERE {{ "is_duplicate IS NOT TRUE" if is_duplicate else "is_duplicate" }}
    AND rowid {{ "IN" if is_duplicate else "NOT IN" }} (SELECT row_id FROM duplicate_calls)
