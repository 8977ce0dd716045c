#!/bin/sh
# Makes docker/secrets once: passwords, keys and the addresses that contain them. Existing files stay as they are.
# The folder is closed to others on this machine; the files are readable, since the containers run as another user.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets

secret() { # name, value
    [ -s "secrets/$1" ] || printf '%s' "$2" >"secrets/$1"
    chmod 444 "secrets/$1"
}
random() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

for name in jwt_secret gateway_api_keys user_api_keys auth_api_keys \
    postgres_password user_password auth_password migration_password redis_password flower_password; do
    secret "$name" "$(random)"
done
secret user_database_url "postgresql://user_service:$(cat secrets/user_password)@postgres:5432/user_db"
secret auth_database_url "postgresql://auth_service:$(cat secrets/auth_password)@postgres:5432/auth_db"
secret migration_database_url "postgresql://migration:$(cat secrets/migration_password)@postgres:5432/migration_db"
secret redis_url "redis://:$(cat secrets/redis_password)@redis:6379/0"
echo "docker/secrets is complete."
