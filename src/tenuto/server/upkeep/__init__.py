"""What keeps a hub in order: check, collect, back up, count."""
