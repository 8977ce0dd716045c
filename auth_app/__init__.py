"""The auth service: credentials, sessions, tokens and their revocation."""
