"""Measures Tenuto beside DVC and huggingface_hub in one run; `make bench` starts it."""
