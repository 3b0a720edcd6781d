#!/bin/sh
# Rendered by `remotegpu site render` from remotegpu.yaml; what is changed here is lost.
# Brings an earlier release back.
set -eu
config=${REMOTEGPU_CONFIG:-/opt/remotegpu/remotegpu.yaml}
exec remotegpu site rollback --config "$config" "$@"
