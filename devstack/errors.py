"""What can go wrong when the stack starts or stops, each with a message for the person at the terminal."""


class StackError(Exception):
    """The stack could not do what it was asked to; the message says why and what to do."""
