"""Tests of `tenuto.testing`."""
