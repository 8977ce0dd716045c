"""The whole stack on one machine, without root and without installed servers: PostgreSQL, Redis and our
processes.
"""
