"""What keeps a home: backup and restore, retention, maintenance."""
