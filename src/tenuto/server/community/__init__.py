"""What people say and propose: discussions and pull requests."""
