"""Measures the hub's server beside nginx, Starlette and the local store of hf_xet in one run; `make bench-hub` starts it."""
