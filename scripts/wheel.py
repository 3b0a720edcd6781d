"""``make wheel``: builds ``dist/remotegpu-*.whl`` and refuses one without the console."""

from __future__ import annotations

import subprocess
import sys
import zipfile

from suites import ROOT

CONSOLE = "remotegpu/server/console/index.html"


def main() -> int:
    dist = ROOT / "dist"
    for old in dist.glob("remotegpu-*.whl"):
        old.unlink()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)], cwd=ROOT, check=True
    )
    (wheel,) = dist.glob("remotegpu-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        if CONSOLE not in archive.namelist():
            sys.exit(
                f"wheel: found no {CONSOLE} in {wheel.name}, expected the built console; do next: make console"
            )
    print(f"wheel: {wheel.relative_to(ROOT)} ({wheel.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
