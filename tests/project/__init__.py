"""Tests of the verbs of a project."""
