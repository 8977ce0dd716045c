"""The gateway: the only door that clients use, in front of the user service and the auth service."""
