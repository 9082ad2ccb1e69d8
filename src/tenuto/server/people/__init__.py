"""Accounts as others see and administer them: users, organizations, services, and their tokens."""
