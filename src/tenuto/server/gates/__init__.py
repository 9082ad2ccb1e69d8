"""The gates before repos: what whoever asks is asked, and how requests go from state to state (docs/gates.md)."""
