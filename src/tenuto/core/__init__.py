"""WORDS: values and pure functions. No files, no network, no clock."""
