"""Repos as a whole: found, described, made, dropped."""
