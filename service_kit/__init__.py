"""What every service shares: settings, errors, HTTP edge, the truth, events. Imports no application."""
