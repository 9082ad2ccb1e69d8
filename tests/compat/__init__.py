"""Files that released format versions wrote, and programs of today read."""
