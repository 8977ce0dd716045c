"""Which store is the truth, the legacy file or PostgreSQL, and how a request reaches it while that changes."""
