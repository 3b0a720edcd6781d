#!/bin/sh
# Rendered by `remotegpu site render` from remotegpu.yaml; what is changed here is lost.
# Brings the release of remotegpu.yaml, or the one named, into service.
set -eu
config=/opt/remotegpu/remotegpu.yaml
exec remotegpu site deploy --config "${REMOTEGPU_CONFIG:-$config}" "$@"
