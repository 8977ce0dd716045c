"""SQL of the user service. Nothing here begins or ends a transaction."""
