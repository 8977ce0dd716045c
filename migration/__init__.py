"""The way from a live legacy SQLite file to the two service databases, and back until it is finished."""
