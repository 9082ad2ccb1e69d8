"""VERBS: one manifest, one lock, one working folder."""
