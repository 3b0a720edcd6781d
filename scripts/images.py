"""``make images``: builds the three images of a release, labelled with its version and the git revision.

scripts/images.py --version v1.2.3     remotegpu-{backend,frontend,postgresql}:v1.2.3
scripts/images.py                      …:main-<revision> and …:latest, for development

The release is the label and the tag; the package inside keeps its own version. PIP_INDEX_URL, PIP_EXTRA_INDEX_URL and
NPM_CONFIG_REGISTRY are passed on when they are set. Layers of dependencies stand before those of the source, and the
labels come last: a pass where nothing changed takes a second per image.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from suites import ROOT

NAMES = ("backend", "frontend", "postgresql")
BASES = ("python", "node", "nginx", "postgres")
MIRRORS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "NPM_CONFIG_REGISTRY")
VERSION = re.compile(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?")
BUILDS_AT_ONCE = 2
SHOWN_LINES = 40


class BuildError(Exception):
    """An image could not be built; the message ends with the builder's last lines."""


@dataclass(frozen=True)
class Release:
    """``version``: the label. ``tags``: what the images are called; ``revision``: the commit they are built from."""

    version: str
    tags: tuple[str, ...]
    revision: str
    source: str


@dataclass(frozen=True)
class Built:
    name: str
    tags: tuple[str, ...]
    id: str
    size_bytes: int
    seconds: float


def main() -> int:
    arguments = parse_arguments()
    found = release(arguments.version, git("rev-parse", "HEAD"), is_dirty=bool(git("status", "--porcelain")))
    options = [
        *(f"--build-arg={name.upper()}_IMAGE={image}" for name, image in arguments.base),
        *(f"--build-arg={name}" for name in MIRRORS if os.environ.get(name)),
        *([f"--network={arguments.network}"] if arguments.network else []),
    ]
    try:
        with ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
            images = list(pool.map(partial(build, wanted=found, options=options), arguments.only))
    except BuildError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(report(found, images), indent=2))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--version", type=_version, default="", help="the release, as vX.Y.Z; without: development"
    )
    parser.add_argument(
        "--base",
        type=_base,
        action="append",
        default=[],
        metavar="NAME=IMAGE",
        help=f"another base image for one of {', '.join(BASES)}",
    )
    parser.add_argument("--only", type=_names, default=NAMES, help="some of the images, separated by commas")
    parser.add_argument(
        "--network", default="", help="network of the builds, such as host (default: the engine's)"
    )
    parser.add_argument(
        "--json", action="store_true", help="what was built, on stdout; progress goes to stderr"
    )
    return parser.parse_args()


def _version(text: str) -> str:
    if text and not VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a release such as v1.2.3")
    return text


def _base(text: str) -> tuple[str, str]:
    name, _, image = text.partition("=")
    if name not in BASES or not image:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected NAME=IMAGE with NAME one of {', '.join(BASES)}"
        )
    return name, image


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(
            f"found {', '.join(sorted(unknown))}, expected some of {', '.join(NAMES)}"
        )
    return names


def release(version: str, commit: str, *, is_dirty: bool) -> Release:
    """What to call the images: a version stays; a development build is named by its commit and is the latest."""
    revision = f"{commit}-dirty" if is_dirty else commit
    short = revision.replace(commit, commit[:12])
    return Release(
        version=version or f"main-{short}",
        tags=(version,) if version else (f"main-{short}", "latest"),
        revision=revision,
        source=source_address(),
    )


def source_address() -> str:
    """Where the origin of this checkout is, without credentials; empty where that is a folder or unknown."""
    origin = git("config", "--get", "remote.origin.url", default="")
    if re.match(r"https?://", origin):
        return re.sub(r"//[^/@]*@", "//", origin)
    return ""


def git(*arguments: str, default: str = "unknown") -> str:
    """One line of git; ``default`` without git or without a repository, as in an unpacked archive."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return default
    return done.stdout.strip() if done.returncode == 0 else default


def build(name: str, wanted: Release, options: list[str]) -> Built:
    """One image under all its tags. Raises :class:`BuildError`."""
    tags = tuple(f"remotegpu-{name}:{tag}" for tag in wanted.tags)
    say(f"building {tags[0]}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "id"
        command = [
            *("docker", "build", f"--file=deploy/images/{name}.Dockerfile", f"--iidfile={answer}"),
            *(f"--tag={tag}" for tag in tags),
            f"--build-arg=VERSION={wanted.version}",
            f"--build-arg=REVISION={wanted.revision}",
            f"--build-arg=SOURCE={wanted.source}",
            *options,
            ".",
        ]
        run(command, f"{tags[0]} could not be built")
        image = answer.read_text().strip()
    size = run(["docker", "image", "inspect", "--format={{.Size}}", image], f"{tags[0]} is not there")
    built = Built(name, tags, image, int(size), round(time.monotonic() - started, 1))
    say(f"built {', '.join(tags)} in {built.seconds:.1f} s ({built.size_bytes / 1e6:.0f} MB)")
    return built


def run(command: list[str], failure: str) -> str:
    """Its output. Raises :class:`BuildError` with ``failure`` and the last lines of the output."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    except FileNotFoundError:
        raise BuildError(f"{failure}: found no `{command[0]}` on PATH; do next: install Docker") from None
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-SHOWN_LINES:])
        raise BuildError(f"{failure}: `{' '.join(command[:2])}` ended with {done.returncode}:\n{tail}")
    return done.stdout


def report(made: Release, images: list[Built]) -> dict[str, object]:
    return {
        "version": made.version,
        "revision": made.revision,
        "images": [
            {
                "name": image.name,
                "tags": list(image.tags),
                "id": image.id,
                "size_bytes": image.size_bytes,
                "seconds": image.seconds,
            }
            for image in images
        ],
    }


def say(text: str) -> None:
    print(f"images: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
