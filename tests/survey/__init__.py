"""Tests of what is said of a workspace."""
