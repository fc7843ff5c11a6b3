#!/bin/sh
# Runs a command of the image as whoever was asked for: Java wants every user to have a name, and a user id that
# a site maps into the image has none there. `/etc/passwd` may be read-only, so the name goes beside it.
set -eu

if ! getent passwd "$(id -u)" >/dev/null; then
  names=$(mktemp -d) || { echo "polynya: mount a writable /tmp (docker: --tmpfs /tmp), or set TMPDIR." >&2; exit 1; }
  { cat /etc/passwd; echo "user$(id -u):x:$(id -u):$(id -g)::${HOME:-/tmp}:/bin/sh"; } >"$names/passwd"
  export NSS_WRAPPER_PASSWD="$names/passwd" NSS_WRAPPER_GROUP=/etc/group LD_PRELOAD=libnss_wrapper.so
fi
exec "$@"
