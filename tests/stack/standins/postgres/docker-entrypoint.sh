#!/bin/bash
# The interface of the published image, in short: the first start makes the cluster in PGDATA, runs what lies in
# /docker-entrypoint-initdb.d against a server that listens on its socket only, and then becomes the server.
set -Eeuo pipefail

# setting NAME: the value of NAME, or the content of the file that NAME_FILE names.
setting() {
	local file="${1}_FILE"
	if [ -n "${!1:-}" ] && [ -n "${!file:-}" ]; then
		echo >&2 "error: both $1 and $file are set, expected one of them"
		exit 1
	fi
	if [ -n "${!file:-}" ]; then cat "${!file}"; else printf '%s' "${!1:-}"; fi
}

first_start() {
	local user password database
	user="$(setting POSTGRES_USER)"
	user="${user:-postgres}"
	password="$(setting POSTGRES_PASSWORD)"
	database="$(setting POSTGRES_DB)"
	database="${database:-$user}"
	if [ -z "$password" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
		echo >&2 "error: found no POSTGRES_PASSWORD, expected one (or POSTGRES_PASSWORD_FILE) for the first start"
		exit 1
	fi
	# shellcheck disable=SC2086 # the arguments of initdb are words
	initdb --username="$user" --pwfile=<(printf '%s\n' "$password") ${POSTGRES_INITDB_ARGS:-}
	printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
	PGUSER="$user" pg_ctl -D "$PGDATA" -w start -o "$(printf '%q ' "$@" -c listen_addresses= -p 5432)"
	export PGHOST="${PGHOST:-/var/run/postgresql}"
	if [ "$database" != postgres ]; then
		psql -v ON_ERROR_STOP=1 -w -U "$user" -d postgres -v db="$database" <<<'CREATE DATABASE :"db";'
	fi
	run_scripts "$user" "$database"
	PGUSER="$user" pg_ctl -D "$PGDATA" -m fast -w stop
}

run_scripts() {
	local script
	for script in /docker-entrypoint-initdb.d/*; do
		case "$script" in
			*.sh) if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
			*.sql) psql -v ON_ERROR_STOP=1 -w -X -U "$1" -d "$2" -f "$script" ;;
			*.sql.gz) gunzip -c "$script" | psql -v ON_ERROR_STOP=1 -w -X -U "$1" -d "$2" ;;
		esac
	done
}

if [ "${1:0:1}" = - ]; then
	set -- postgres "$@"
fi
if [ "$1" = postgres ]; then
	if [ "$(id -u)" = 0 ]; then
		install -d -o postgres -g postgres -m 0700 "$PGDATA"
		chown postgres:postgres /var/run/postgresql
		exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
	fi
	mkdir -p "$PGDATA"
	chmod 0700 "$PGDATA" || true
	if [ ! -s "$PGDATA/PG_VERSION" ]; then
		first_start "${@:2}"
		echo 'PostgreSQL init process complete; ready for start up.'
	fi
fi
exec "$@"
