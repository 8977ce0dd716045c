"""What the auth service does for its callers, one module for each subject."""
