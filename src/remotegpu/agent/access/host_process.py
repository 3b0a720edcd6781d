"""Entry script of the helper processes: ``python -I -S host_process.py NAME [ARGS]``.

Isolated mode leaves out the script's own folder and site-packages. The packages above ``hosts`` are stood in for by
empty ones, because their ``__init__`` may load what is not there.
"""

import importlib
import os.path
import sys
from types import ModuleType

_HOSTS = ("shell", "sftp")
_PACKAGES = ("remotegpu", "remotegpu.agent", "remotegpu.agent.access")


def main() -> int:
    """Run the named helper; its exit status is ours."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in _HOSTS:
        sys.stderr.write(f"helper process is {name!r}, expected one of {', '.join(_HOSTS)}\n")
        return 64
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 — pathlib costs 10 ms to import
    root = here.rsplit(os.sep, len(_PACKAGES))[0]
    for package in _PACKAGES:
        stand_in = ModuleType(package)
        stand_in.__path__ = [os.path.join(root, *package.split("."))]  # noqa: PTH118 — as above
        sys.modules[package] = stand_in
    module = importlib.import_module(f"{_PACKAGES[-1]}.hosts.{name}")
    return int(module.main(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
