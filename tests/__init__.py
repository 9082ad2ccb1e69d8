"""Tests of Tenuto: the folders mirror `src/tenuto`."""
