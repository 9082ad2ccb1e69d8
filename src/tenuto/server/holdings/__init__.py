"""What a hub holds of large files: objects and chunks, as files and as rows."""
