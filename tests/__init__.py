"""All tests: unit, model, integration, acceptance, faults."""
