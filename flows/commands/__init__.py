"""What each `trendbreak` command does, and what it shows on the terminal."""
