"""A whole workspace against a dictionary: whatever is typed in whatever order, and killed wherever, what must exist exists."""
