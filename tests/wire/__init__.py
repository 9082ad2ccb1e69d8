"""Stock clients of several ages, each in an environment of its own, against a live hub."""
