ATTACH {{ path | literal }} AS staging
