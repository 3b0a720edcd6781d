#!/bin/sh
# Rendered by `remotegpu site render` from remotegpu.yaml; what is changed here is lost.
# Brings the database back: --backup ID, or --at TIME.
set -eu
config=${REMOTEGPU_CONFIG:-/opt/remotegpu/remotegpu.yaml}
exec remotegpu site restore --config "$config" "$@"
