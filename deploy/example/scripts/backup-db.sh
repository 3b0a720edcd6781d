#!/bin/sh
# Rendered by `remotegpu site render` from remotegpu.yaml; what is changed here is lost.
# Backs the database up now.
set -eu
config=/opt/remotegpu/remotegpu.yaml
exec remotegpu site backup --kind database --config "${REMOTEGPU_CONFIG:-$config}" "$@"
