"""The tools that `make bench` measures, one module each."""
