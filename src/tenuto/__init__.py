"""Tenuto: exactly these bytes, for as long as the project needs them."""

__version__ = "0.1.0"
