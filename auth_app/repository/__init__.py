"""SQL of the auth service, one module for each thing that is stored. The callers hold the transaction."""
