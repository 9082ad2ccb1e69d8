"""BYTES: objects by digest. Knows nothing of projects and repos."""
