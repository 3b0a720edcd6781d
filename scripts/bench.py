"""``make bench``: runs the files of ``benchmarks/`` one after the other; each prints its figures as JSON lines.

scripts/bench.py            all of them
scripts/bench.py sync echo  those whose file name contains one of the words
"""

from __future__ import annotations

import subprocess
import sys

from suites import ROOT


def main(words: list[str]) -> int:
    """Runs all even when one fails; the status is 1 when any did."""
    files = [path for path in sorted((ROOT / "benchmarks").glob("bench_*.py")) if matches(path.stem, words)]
    if not files:
        sys.exit(f"bench: found no benchmarks/bench_*.py for {words or 'any name'}; do next: ls benchmarks/")
    failed: list[str] = []
    for path in files:
        print(f"# {path.name}", file=sys.stderr, flush=True)
        if subprocess.run([sys.executable, str(path)], cwd=ROOT, check=False).returncode:
            failed.append(path.name)
    if failed:
        print(f"bench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def matches(name: str, words: list[str]) -> bool:
    return not words or any(word in name for word in words)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
