"""HTTP in and out of the user service."""
