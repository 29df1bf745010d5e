(
    usage_hour < {{ oldest | literal }}::TIMESTAMP
    OR (usage_hour >= {{ delivery.window_start | literal }}::TIMESTAMP AND usage_hour < {{ delivery.window_end | literal }}::TIMESTAMP)
)
