#!/bin/sh
# Rendered by `remotegpu site render` from remotegpu.yaml; what is changed here is lost.
# Brings the database back: --backup ID, or --at TIME.
set -eu
config=/opt/remotegpu/remotegpu.yaml
exec remotegpu site restore --config "${REMOTEGPU_CONFIG:-$config}" "$@"
