"""Tests of `tenuto.core`."""
