"""How requests and answers travel, and what is asked of them before a handler sees them."""
