#!/bin/sh
# No file on purpose: what Redis holds exists in PostgreSQL too and is filled in again after an empty start. A file
# that lacks its last second would hold the mark that all revocations are there, but not the newest of them.
set -eu
umask 077
cat >/tmp/redis.conf <<CONF
requirepass $(cat /run/secrets/redis_password)
maxmemory-policy noeviction
save ""
appendonly no
CONF
exec valkey-server /tmp/redis.conf
