"""What uses the space of a repo: by file, version and ref, what deleting each would free, and how it came to be so."""
