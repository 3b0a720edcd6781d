"""``remotegpu site``: a deployment out of one ``remotegpu.yaml``. Exit status: 0 done, 2 the file cannot be used."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from remotegpu.cli.output import print_json, print_line, print_note, print_table

app = App(name="site", help="A deployment out of one remotegpu.yaml.", help_format="plaintext")

UNUSABLE = 2

ConfigPath = Annotated[Path, Parameter(name="--config", help="The site's file.")]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")]
DEFAULT = Path("remotegpu.yaml")


@app.command
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
        return _refused(error, json_output=json_output)
    if json_output:
        print_json({"written": str(config)})
    else:
        print_line(f"Wrote {config}, and {config.parent / 'secrets'}, which belongs in no repository.")
        print_line(f"Look through the file, then: remotegpu site check --config {config}")
    return 0


@app.command
def check(*, config: ConfigPath = DEFAULT, json_output: Json = False) -> int:
    """Check remotegpu.yaml as a whole: every problem with its line, what was found, what is expected, what to do."""
    from remotegpu.site.config.loading import load
    from remotegpu.site.config.problems import ConfigError

    try:
        found = load(config)
    except ConfigError as error:
        return _refused(error, json_output=json_output)
    if json_output:
        print_json({"ok": True, "problems": []})
    else:
        site = f"site {found.site.name} at {found.site.domain}, release {found.release.version}"
        print_line(f"{config}: {site}: no problems")
    return 0


@app.command
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
        return _refused(error, json_output=json_output)
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


def _refused(error: Exception, *, json_output: bool) -> int:
    from remotegpu.site.config.problems import ConfigError

    assert isinstance(error, ConfigError)
    if json_output:
        print_json({"ok": False, "problems": [asdict(problem) for problem in error.problems]})
    else:
        print_note(str(error))
    return UNUSABLE
