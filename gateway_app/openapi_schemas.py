"""The shapes in the API's description: what requests hold and what answers look like."""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NULLABLE_TEXT: Schema = {"type": ["string", "null"]}
INT64: Schema = {"type": "integer", "format": "int64"}
TRUE: Schema = {"const": True}
FALSE: Schema = {"const": False}
MOMENT: Schema = {"type": "string", "format": "date-time"}
SESSION_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}


def ref(name: str) -> Schema:
    """A shape by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None, **more: Any) -> Schema:
    """An object."""
    properties = {**required, **(optional or {})}
    found: Schema = {"type": "object", "properties": properties, **more}
    return found | {"required": list(required)} if required else found


def success(**fields: Schema) -> Schema:
    """The envelope of an answer that is no error."""
    return record({"success": TRUE, "message": TEXT, **fields})


_EMAIL: Schema = {"type": "string", "format": "email", "maxLength": 254}
_PASSWORD: Schema = {
    "type": "string",
    "minLength": 6,
    "maxLength": 1024,
    "description": "Bytes behind the 72nd do not count: that is bcrypt's limit.",
}
_NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 1000,
    "description": "White space around it goes.",
}
_TOKEN: Schema = {"type": "string", "description": "A JSON Web Token for the Authorization header."}
_PREFERENCES: dict[str, Schema] = {
    "theme": {"enum": ["light", "dark", "system"]},
    "language": {"type": "string", "maxLength": 35, "examples": ["en", "pt-BR"]},
    "notifications_enabled": {"type": "boolean"},
}

SCHEMAS: dict[str, Schema] = {
    "Error": record(
        {"success": FALSE, "message": TEXT},
        {
            "code": {
                "type": "string",
                "description": "For machines; not on errors that the first version had.",
            },
            "request_id": {
                "type": ["string", "null"],
                "description": "The correlation id, to ask an operator with.",
            },
            "errors": {"type": "array", "items": ref("FieldError")},
        },
    ),
    "FieldError": record(
        {"type": {"const": "field"}, "msg": TEXT, "path": TEXT, "location": {"enum": ["body", "query"]}},
        {"value": {"description": "The value as it was read; missing when the field was."}},
    ),
    "Credentials": record({"email": _EMAIL, "password": {"type": "string", "minLength": 1}}),
    "Registration": record({"email": _EMAIL, "password": _PASSWORD}, {"name": _NAME}),
    "ProfileChange": record({}, {"email": _EMAIL, "name": _NAME}, minProperties=1),
    "PasswordChange": record(
        {"currentPassword": {"type": "string", "minLength": 1}, "newPassword": _PASSWORD}
    ),
    "Logout": record({}, {"scope": {"enum": ["session", "all"]}}),
    "PreferencesChange": record({}, _PREFERENCES, minProperties=1),
    "User": record({"id": INT64, "email": TEXT, "name": NULLABLE_TEXT}),
    "Profile": record(
        {
            "id": INT64,
            "email": TEXT,
            "name": NULLABLE_TEXT,
            "created_at": {
                "type": ["string", "number", "null"],
                "description": "`YYYY-MM-DD HH:MM:SS` in UTC, or what a legacy row holds.",
            },
        }
    ),
    "Preferences": record(_PREFERENCES),
    "Activity": record({"id": INT64, "type": TEXT, "occurred_at": MOMENT, "data": {"type": "object"}}),
    "Session": record(
        {
            "id": TEXT,
            "created_at": MOMENT,
            "last_seen_at": MOMENT,
            "expires_at": MOMENT,
            "user_agent": TEXT,
            "ip": TEXT,
            "current": {"type": "boolean", "description": "The session of the token that asks."},
        }
    ),
    "Done": success(),
    "LoggedIn": success(token=_TOKEN, user=ref("User")),
    "ProfileFound": success(user=ref("Profile")),
    "ProfileChanged": success(
        user=ref("Profile"),
        token={"type": ["string", "null"], "description": "A new token when the email was sent, else null."},
    ),
    "PreferencesFound": success(preferences=ref("Preferences")),
    "ActivityFound": success(
        activity={"type": "array", "items": ref("Activity")},
        next={"type": ["integer", "null"], "description": "`before` of the next page, null at the end."},
    ),
    "SessionsFound": success(sessions={"type": "array", "items": ref("Session")}),
    "Health": record(
        {"success": TRUE, "message": TEXT, "timestamp": MOMENT},
        {
            "status": {"enum": ["ok", "degraded"]},
            "services": {
                "type": "object",
                "additionalProperties": record({"status": ref("State"), "instances": {"type": "object"}}),
            },
            "dependencies": {"type": "object", "additionalProperties": TEXT},
        },
    ),
    "State": {"enum": ["ok", "unavailable", "down"]},
}
