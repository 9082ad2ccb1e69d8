"""Large files in chunks: what Xet clients write and read, and what is cut afterwards."""
