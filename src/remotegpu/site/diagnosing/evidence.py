"""The bundle of a diagnosis: every output with an index, in one file that may be handed on."""

import hashlib
import io
import tarfile
from pathlib import Path

import msgspec

import remotegpu
from remotegpu.kit import files
from remotegpu.site.diagnosing.steps import Diagnosis

INDEX = "index.json"


def file_name(diagnosis: Diagnosis) -> str:
    """Where it goes when nobody says."""
    return f"remotegpu-{diagnosis.site}-{diagnosis.handbook}-{diagnosis.at:%Y%m%dT%H%M%SZ}.tar.gz"


def write(path: Path, diagnosis: Diagnosis) -> None:
    """Readable by the owner alone; never over another file. Raises :class:`FileExistsError`."""
    if path.exists():
        raise FileExistsError(f"found {path} already, expected a new file: name another one with --output")
    files.write_private(path, pack(diagnosis))


def pack(diagnosis: Diagnosis) -> bytes:
    """A tar.gz: ``index.json`` first, then one text for each step."""
    texts = {
        f"{number:02}-{finding.name.replace(' ', '-')}.txt": finding.output.encode()
        for number, finding in enumerate(diagnosis.findings, 1)
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in {INDEX: _index(diagnosis, texts), **texts}.items():
            member = tarfile.TarInfo(f"{diagnosis.site}-{diagnosis.handbook}/{name}")
            member.size, member.mode = len(content), 0o600
            member.mtime = int(diagnosis.at.timestamp())
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _index(diagnosis: Diagnosis, texts: dict[str, bytes]) -> bytes:
    steps = [
        {name: value for name, value in msgspec.structs.asdict(finding).items() if name != "output"}
        | {"file": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for finding, (path, content) in zip(diagnosis.findings, texts.items(), strict=True)
    ]
    index = msgspec.structs.asdict(diagnosis) | {"findings": steps, "tool": remotegpu.__version__}
    return msgspec.json.format(msgspec.json.encode(index), indent=2) + b"\n"
