"""Chunks, xorbs and shards: the formats of chunk-level deduplication, and a folder of xorbs. Values and files; nothing of repos."""
