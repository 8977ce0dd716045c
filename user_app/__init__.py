"""The user service: registration, profiles, preferences and the activity feed. Owns user_db."""
