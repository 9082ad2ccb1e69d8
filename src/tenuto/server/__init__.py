"""A hub that stock Hugging Face clients talk to: one process, SQLite and a folder."""
