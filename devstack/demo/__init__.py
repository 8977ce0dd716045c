"""The demonstration: the whole migration on a sample file under live traffic, with a verdict at the end."""
