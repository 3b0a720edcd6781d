"""Entry script of the helper processes: ``python -I -S host_process.py NAME [ARGS]``.

Isolated mode leaves out the script's own folder and site-packages, so the source root is put on the path here.
"""

import importlib
import os.path
import sys

_HOSTS = ("shell", "sftp")


def main() -> int:
    """Run the named helper; its exit status is ours."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in _HOSTS:
        sys.stderr.write(f"helper process is {name!r}, expected one of {', '.join(_HOSTS)}\n")
        return 64
    here = os.path.abspath(__file__)  # noqa: PTH100 — pathlib costs 10 ms to import
    sys.path.insert(0, here.rsplit(os.sep, 4)[0])
    module = importlib.import_module(f"remotegpu.agent.access.hosts.{name}")
    return int(module.main(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
