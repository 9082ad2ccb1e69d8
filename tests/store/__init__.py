"""Tests of `tenuto.store`."""
