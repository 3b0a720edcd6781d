#!/bin/sh
# Rendered by `remotegpu site render` from remotegpu.yaml; what is changed here is lost.
# Brings an earlier release back.
set -eu
config=/opt/remotegpu/remotegpu.yaml
exec remotegpu site rollback --config "${REMOTEGPU_CONFIG:-$config}" "$@"
