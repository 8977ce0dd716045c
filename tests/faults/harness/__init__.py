"""Stop real processes at named points, act, and let them go on; then judge what is left."""
