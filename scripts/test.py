"""``make test``: every suite in order, its time, and one closing line that sums them up.

scripts/test.py                     everything
scripts/test.py tests/unit/cli      one path (a pytest node id works too)
scripts/test.py --only lint,types   some suites by name
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import time

import console
import debian
import docker_engine
import results
import suites

LEFT_OUT = "left out: {programs} not installed, and {why}; do next: apt-get install {packages}"
PACKAGE_OF = {"ssh": "openssh-client"}


def main() -> int:
    heed_signals()
    arguments = parse_arguments()
    install_debian_packages()
    suites.REPORTS.mkdir(parents=True, exist_ok=True)
    if arguments.path:
        suite = suites.suite_for(arguments.path)
        if suite is None:
            known = ", ".join(path for each in suites.SUITES for path in each.paths)
            print(f"test: found T={arguments.path}, expected a path under one of: {known}")
            return 2
        return results.print_summary([run(suite, arguments.path)])
    chosen = [suite for suite in suites.SUITES if not arguments.only or suite.name in arguments.only]
    return results.print_summary([run(suite) for suite in chosen])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", nargs="?", help="run only the tests under this path")
    parser.add_argument("--only", type=lambda text: text.split(","), help="run only these suites")
    arguments = parser.parse_args()
    unknown = set(arguments.only or ()) - {suite.name for suite in suites.SUITES}
    if unknown:
        parser.error(f"found suites {sorted(unknown)}, expected some of {[s.name for s in suites.SUITES]}")
    return arguments


def heed_signals() -> None:
    """Started in the background or by nohup, this process ignores signals, and so would everything under test."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def install_debian_packages() -> None:
    """Brings what the suites need where that is possible; what stays missing shows in the summary."""
    packages = debian.missing_packages()
    if packages and debian.can_install():
        print(f"test: installing Debian packages: {' '.join(packages)}", flush=True)
        if not debian.install(packages):
            print("test: apt-get failed; suites that need these packages are left out", flush=True)


def run(suite: suites.Suite, path: str | None = None) -> results.Result:
    """Runs one suite and counts it; a suite whose programs are missing is left out with the reason."""
    missing = suite.missing()
    if missing:
        can_install = debian.can_install()
        why = "apt-get could not bring it" if can_install else "this is not root on Debian"
        short = f"no {', '.join(missing)}; {'apt-get failed' if can_install else 'not root on Debian'}"
        packages = " ".join(PACKAGE_OF.get(program, program) for program in missing)
        note = LEFT_OUT.format(programs=", ".join(missing), why=why, packages=packages)
        return results.Result(suite.name, skipped=1, notes=[note], left_out=short)
    if suite.engine and (problem := docker_engine.problem()):
        note = f"left out: {problem}; do next: start Docker, or run as root on Debian"
        return results.Result(suite.name, skipped=1, notes=[note], left_out=problem)
    print(f"\n=== {suite.name}", flush=True)
    started = time.monotonic()
    result = prepare_and_count(suite, path)
    result.seconds = time.monotonic() - started
    print(f"=== {suite.name}: {result.failed} failed, {result.seconds:.1f} s", flush=True)
    return result


def prepare_and_count(suite: suites.Suite, path: str | None) -> results.Result:
    try:
        if suite.console:
            console.build()
        if suite.kind == "vitest":
            console.install_packages()
    except console.BuildError as error:
        return results.Result(suite.name, failed=1, notes=[str(error)])
    if suite.kind == "vitest":
        status, output = run_and_keep(suite)
        return results.from_vitest(suite.name, status, output)
    report = suites.REPORTS / f"{suite.name}.xml"
    report.unlink(missing_ok=True)
    status = subprocess.run(suite.argv(path), cwd=suite.cwd, env=environment(), check=False).returncode
    if suite.kind == "check":
        return results.from_status(suite.name, status)
    return results.from_junit(suite.name, status, report)


def run_and_keep(suite: suites.Suite) -> tuple[int, str]:
    """Shows the output as it comes and keeps it, because vitest's count stands in it."""
    lines: list[str] = []
    with subprocess.Popen(
        suite.argv(),
        cwd=suite.cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return process.returncode, "".join(lines)


def environment() -> dict[str, str]:
    """The tools of ``.venv`` and its Node come first on PATH, so that no suite finds another version."""
    path = os.pathsep.join([str(suites.BIN), str(console.node_folder()), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path}


if __name__ == "__main__":
    raise SystemExit(main())
