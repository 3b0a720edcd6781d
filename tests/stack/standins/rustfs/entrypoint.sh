#!/bin/sh
# Gives SeaweedFS the settings of RustFS. GET /health answers 200 as RustFS does, because "health" is an empty bucket that
# anybody may list: SeaweedFS has its own health under another path.
set -eu

# setting NAME: the content of the file that NAME_FILE names, else the value of NAME.
setting() {
	eval "file=\${$1_FILE:-}"
	if [ -n "$file" ]; then cat "$file"; else eval "printf %s \"\${$1:-}\""; fi
}

access_key="$(setting RUSTFS_ACCESS_KEY)"
secret_key="$(setting RUSTFS_SECRET_KEY)"
if [ -z "$access_key" ] || [ -z "$secret_key" ]; then
	echo >&2 "error: found no access key or secret key, expected RUSTFS_ACCESS_KEY_FILE and RUSTFS_SECRET_KEY_FILE"
	exit 1
fi
umask 077
mkdir -p /tmp/weed
cat >/tmp/weed/identities.json <<JSON
{"identities": [
  {"name": "root", "credentials": [{"accessKey": "$access_key", "secretKey": "$secret_key"}],
   "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
  {"name": "anonymous", "actions": ["List:health"]}
]}
JSON
export S3_BUCKET=health
exec weed -config_dir=/tmp/weed -logtostderr=true mini -dir="$RUSTFS_VOLUMES" -ip=127.0.0.1 -ip.bind=0.0.0.0 \
	-master.telemetry=false -master.volumeSizeLimitMB=64 -volume.preStopSeconds=0 \
	-s3.port="${RUSTFS_ADDRESS##*:}" -s3.config=/tmp/weed/identities.json -s3.iam=false -s3.port.iceberg=0 -s3.port.lance=0 \
	-admin.ui=false -webdav=false
