-- Old snapshots, the files that only they need, small files, and what killed writers left. A file that is younger than
-- two days may be of a transaction that is under way.
CALL ducklake_expire_snapshots('lake', older_than => now() - to_days({{ snapshot_days | int }}));
CALL ducklake_merge_adjacent_files('lake');
CALL ducklake_cleanup_old_files('lake', older_than => now() - INTERVAL 2 DAY);
CALL ducklake_delete_orphaned_files('lake', older_than => now() - INTERVAL 2 DAY)
