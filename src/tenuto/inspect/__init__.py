"""LOOK: what is inside a file and whether it is whole, by its header, structure and checksums. Nothing is ever executed or unpickled."""
