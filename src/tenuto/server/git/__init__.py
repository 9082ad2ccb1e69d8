"""Repos as git objects in rows: blobs, trees, commits, refs, and what no ref needs any more."""
