"""The client side of the hub's protocol."""
