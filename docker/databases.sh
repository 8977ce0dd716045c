#!/bin/sh
# Run by the postgres image when its volume is empty: a role and a database for each service, closed to the others.
set -eu
make() { # role, database, file with the password
    psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 \
        --set role="$1" --set database="$2" --set password="$(cat "$3")" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"role";
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
SQL
}
make user_service user_db /run/secrets/user_password
make auth_service auth_db /run/secrets/auth_password
make migration migration_db /run/secrets/migration_password
psql --username "$POSTGRES_USER" --dbname postgres --command "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC"
