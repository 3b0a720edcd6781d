"""SeaweedFS as the S3 server: its files and arguments. Pure.

``weed mini`` runs all parts in one process and is ready in under a second (``weed server`` sleeps for three).
Beside S3 it opens internal HTTP and gRPC ports on loopback: ``security.toml`` closes them to other local users with
signed tokens (HTTP) and client certificates (gRPC).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BUCKET = "remotegpu"
REGION = "us-east-1"
IDENTITY = "remotegpu"

ADMIN_GRPC_OFFSET = 10_000
"""weed's own maintenance worker looks for the admin's gRPC port here, whatever ``-admin.port.grpc`` says."""

SOCKET_PARTS = ("master", "volume", "filer", "s3", "admin")
_PORT_KEYS = {
    "master": "master_grpc",
    "volume": "volume_grpc",
    "filer": "filer_grpc",
    "s3": "s3_grpc",
    "admin": "object_admin_grpc",
}


@dataclass(frozen=True)
class ObjectFiles:
    """Files under ``directory``, all private."""

    directory: Path

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def configuration(self) -> Path:
        """Searched by ``weed`` for ``security.toml``."""
        return self.directory / "configuration"

    @property
    def options(self) -> Path:
        return self.configuration / "options"

    @property
    def identities(self) -> Path:
        return self.configuration / "identities.json"

    @property
    def security(self) -> Path:
        return self.configuration / "security.toml"

    @property
    def authority(self) -> Path:
        return self.configuration / "authority.crt"

    @property
    def certificate(self) -> Path:
        return self.configuration / "node.crt"

    @property
    def key(self) -> Path:
        return self.configuration / "node.key"


def identities(access_key: str, secret_key: str) -> str:
    """The identity file: one key pair that may do everything, and nobody anonymous."""
    entry = {
        "name": IDENTITY,
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return json.dumps({"identities": [entry]}, indent=2)


def security(files: ObjectFiles, keys: list[str]) -> str:
    """``security.toml``: four token keys (write and read, volumes and filer) and mutual TLS for every gRPC part."""
    tables = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    text = "".join(f'[{table}]\nkey = "{key}"\n' for table, key in zip(tables, keys, strict=True))
    text += f"[grpc]\nca = {_toml(files.authority)}\n"
    for part in ("master", "volume", "filer", "s3", "client", "admin", "worker", "mini"):
        text += f"[grpc.{part}]\ncert = {_toml(files.certificate)}\nkey = {_toml(files.key)}\n"
    return text


def _toml(path: Path) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(str(path), ensure_ascii=False)


def options(files: ObjectFiles, ports: Mapping[str, int], *, admin_password: str) -> str:
    """The options file of ``weed mini``: loopback, small volumes, no telemetry, no WebDAV, no table catalogues."""
    values = {
        "dir": str(files.data),
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": "64",
        "master.port": str(ports["master"]),
        "master.port.grpc": str(ports["master_grpc"]),
        "volume.port": str(ports["volume"]),
        "volume.port.grpc": str(ports["volume_grpc"]),
        # Below this, volumes turn read-only: better an error at once than a half-written object.
        "volume.minFreeSpace": "64MiB",
        "volume.preStopSeconds": "0",
        "filer.port": str(ports["filer"]),
        "filer.port.grpc": str(ports["filer_grpc"]),
        "s3.port": str(ports["s3"]),
        "s3.port.grpc": str(ports["s3_grpc"]),
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "s3.config": str(files.identities),
        "s3.iam": "false",
        "admin.port": str(ports["object_admin"]),
        "admin.port.grpc": str(ports["object_admin_grpc"]),
        "admin.ui": "false",
        "admin.password": admin_password,
        "webdav": "false",
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def server_arguments(weed: Path, files: ObjectFiles) -> list[str]:
    """No secret among them: passwords and keys stand in the files they name."""
    return [
        str(weed),
        f"-config_dir={files.configuration}",
        "-logtostderr=true",
        "mini",
        f"-options={files.options}",
    ]


def grpc_sockets(ports: Mapping[str, int]) -> list[Path]:
    """Socket files that ``weed`` places in /tmp by port number and leaves behind when killed."""
    return [Path(f"/tmp/seaweedfs-{part}-grpc-{ports[_PORT_KEYS[part]]}.sock") for part in SOCKET_PARTS]  # noqa: S108 - weed's choice
