SELECT source_name, scope, identity FROM ops.deliveries WHERE is_current AND identity IS NOT NULL
