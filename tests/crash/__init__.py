"""Processes that are killed, hubs that are killed, and several processes at once."""
