# Sourced once by the image's entrypoint, when the data directory is new.
# sentrascan is no superuser: it sees statistics (pg_monitor), ends others' queries
# (pg_signal_backend), and makes the database that a backup is restored into (CREATEDB).
psql -X -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres <<'SQL'
\set password `sed -E 's#^postgres://sentrascan:([^@]*)@.*#\1#' /run/database/url`
ALTER ROLE postgres PASSWORD NULL;
CREATE ROLE sentrascan LOGIN CREATEDB PASSWORD :'password';
GRANT pg_monitor, pg_signal_backend TO sentrascan;
CREATE DATABASE sentrascan OWNER sentrascan;
SQL
