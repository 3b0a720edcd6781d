"""``make bench``: runs the files of ``benchmarks/`` one after the other; each prints its figures as JSON lines.

scripts/bench.py            all of them
scripts/bench.py sync echo  those whose file name contains one of the words
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from suites import ROOT


def main(words: list[str]) -> int:
    """Runs all even when one fails; the status is 1 when any did."""
    files = [path for path in sorted((ROOT / "benchmarks").glob("*.py")) if is_benchmark(path, words)]
    if not files:
        sys.exit(f"bench: found no benchmark whose name contains {words}; do next: ls benchmarks/")
    failed: list[str] = []
    for path in files:
        print(f"# {path.name}", file=sys.stderr, flush=True)
        if subprocess.run([sys.executable, str(path)], cwd=ROOT, check=False).returncode:
            failed.append(path.name)
    if failed:
        print(f"bench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def is_benchmark(path: Path, words: list[str]) -> bool:
    """The others in that folder are what they share; a benchmark is a program with options."""
    chosen = not words or any(word in path.stem for word in words)
    return chosen and "ArgumentParser" in path.read_text(encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
