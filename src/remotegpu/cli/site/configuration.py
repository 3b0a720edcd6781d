"""``remotegpu site init | check | render | versions``: what a site is to be."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from remotegpu.cli.output import print_json, print_line, print_table
from remotegpu.cli.site.shared import DEFAULT, FAILED, ConfigPath, Json, refused


def init(
    *,
    name: Annotated[str, Parameter(help="Name of the site, such as acme.")],
    domain: Annotated[str, Parameter(help="Domain of the site, such as gpu.example.com.")],
    version: Annotated[str, Parameter(help="Release to run, such as v1.0.0.")],
    config: ConfigPath = DEFAULT,
    language: Annotated[Literal["en", "zh"], Parameter(help="Language of the comments in the file.")] = "en",
    json_output: Json = False,
) -> int:
    """Write an annotated remotegpu.yaml, and random secrets beside it. What exists is never touched."""
    from remotegpu.site.config.problems import ConfigError
    from remotegpu.site.verbs.init import init as write

    try:
        write(config, name=name, domain=domain, version=version, language=language)
    except ConfigError as error:
        return refused(error, json_output=json_output)
    if json_output:
        print_json({"written": str(config)})
    else:
        print_line(f"Wrote {config}, and {config.parent / 'secrets'}, which belongs in no repository.")
        print_line(f"Look through the file, then: remotegpu site check --config {config}")
    return 0


def check(*, config: ConfigPath = DEFAULT, json_output: Json = False) -> int:
    """Check remotegpu.yaml as a whole, the files it names, and what is rendered from it (CIS Docker Benchmark).

    Every problem with its line, what was found, what is expected, what to do. Exit status 1 for findings of the
    benchmark that no reason waives.
    """
    from remotegpu.kit.clock import utc_now
    from remotegpu.site.bundle import compose
    from remotegpu.site.checks import cis
    from remotegpu.site.config import named_files
    from remotegpu.site.config.loading import load
    from remotegpu.site.config.problems import ConfigError

    try:
        found = load(config)
        named_files.require(config, found, utc_now())
    except ConfigError as error:
        return refused(error, json_output=json_output)
    findings = cis.check(compose.text(found))
    open_ones = [finding for finding in findings if not finding.waived]
    if json_output:
        benchmark = [asdict(finding) for finding in findings]
        print_json({"ok": not open_ones, "problems": [], "benchmark": benchmark})
    else:
        site = f"site {found.site.name} at {found.site.domain}, release {found.release.version}"
        print_line(f"{config}: {site}: no problems")
        print_line(f"CIS Docker Benchmark: {len(cis.CHECKS)} checks, {len(open_ones)} findings")
        for finding in findings:
            waiver = f" (accepted: {finding.waived})" if finding.waived else ""
            print_line(f"  {finding.check} {finding.service}: {finding.found}{waiver}")
    return FAILED if open_ones else 0


def versions(
    *,
    config: Annotated[Path | None, Parameter(name="--config", help="The site's file.")] = None,
    json_output: Json = False,
) -> int:
    """List the image of each component, until when it is repaired, and why it is not the deployment plan's."""
    from remotegpu.site.config.loading import load
    from remotegpu.site.config.problems import ConfigError
    from remotegpu.site.config.versions import image_of, manifest

    try:
        overrides = load(config).images if config else {}
    except ConfigError as error:
        return refused(error, json_output=json_output)
    found = {name: image_of(name, overrides) for name in manifest()}
    if json_output:
        print_json({name: {"runs": found[name], "manifest": one} for name, one in manifest().items()})
        return 0
    columns = ("COMPONENT", "IMAGE", "REPAIRED UNTIL", "PLAN", "REASON")
    rows = [
        [name, found[name], str(one.supported_until or "-"), one.plan, one.reason or "-"]
        for name, one in manifest().items()
    ]
    print_table(columns, rows, empty="no components")
    return 0


def render(
    *,
    config: ConfigPath = DEFAULT,
    diff: Annotated[bool, Parameter(negative=(), help="Show what would change, and change nothing.")] = False,
    output: Annotated[
        Path | None, Parameter(help="Write it to this directory instead of site.directory.")
    ] = None,
    json_output: Json = False,
) -> int:
    """Write the files that Compose, nginx, PostgreSQL and Redis read. With --diff exit status 1 when they differ."""
    from remotegpu.site import place
    from remotegpu.site.bundle import writing
    from remotegpu.site.bundle.render import render as decide
    from remotegpu.site.config.problems import ConfigError

    try:
        site = place.at(config)
    except ConfigError as error:
        return refused(error, json_output=json_output)
    directory, bundle = output or site.directory, decide(site.config)
    if diff:
        found = writing.diff(directory, bundle)
        print_json({"differs": bool(found), "diff": found}) if json_output else print_line(
            found or "no difference"
        )
        return 1 if found else 0
    changed = writing.write(directory, bundle)
    if json_output:
        print_json({"directory": str(directory), "changed": changed})
    else:
        print_line(f"{directory}: {len(bundle)} files, {len(changed)} changed")
    return 0


def register(app: App) -> None:
    for command in (init, check, render, versions):
        app.command(command)
