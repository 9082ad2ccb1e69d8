"""The protocol by which git itself fetches and pushes."""
