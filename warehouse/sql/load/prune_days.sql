DELETE FROM ops.delivery_days WHERE NOT is_current AND superseded_at < $keep_after
