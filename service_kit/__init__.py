"""What the services share: settings, logging, errors, HTTP and database plumbing. Imports no application."""
