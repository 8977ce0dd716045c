"""Events that are never lost: an append-only store in PostgreSQL, a relay, consumers; Redis only rings."""
