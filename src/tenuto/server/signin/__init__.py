"""How people prove who they are: passwords, browser sessions, invitations, other issuers of identities, and devices without a browser."""
