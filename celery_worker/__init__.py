"""Celery: the processes that copy and verify chunks, and beat, which keeps both sides up to date every second."""
