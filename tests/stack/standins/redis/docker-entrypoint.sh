#!/bin/sh
# The interface of the published image: options or a configuration file alone mean redis-server, and root becomes redis.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- redis-server "$@"
fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
	chown redis:redis .
	exec setpriv --reuid=redis --regid=redis --clear-groups -- "$0" "$@"
fi
if [ "$(umask)" = 0022 ]; then
	umask 0077
fi
exec "$@"
