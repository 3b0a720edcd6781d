"""``remotegpu site diagnose backend | agent | database``: the handbook for faults, walked through."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter

from remotegpu.cli.output import print_json, print_line, print_table
from remotegpu.cli.site.shared import DEFAULT, FAILED, ConfigPath, Json, Steps, guarded

if TYPE_CHECKING:
    from remotegpu.site.diagnosing.steps import Diagnosis
    from remotegpu.site.place import Place
    from remotegpu.site.verbs.diagnose import Handbook

HELP = """Find out why something does not work: looks step by step, says the likely cause and what to do next.

Nothing is changed. Every output goes into a bundle that may be handed on: secrets, tokens and queries are hidden in it.
Exit status: 0 nothing wrong was found, 1 something was, 2 the site's file cannot be used.
"""

app = App(name="diagnose", help=HELP, help_format="plaintext")

Output = Annotated[
    Path | None, Parameter(help="The bundle; by default remotegpu-SITE-WHAT-TIME.tar.gz in this directory.")
]


@app.command
def backend(*, config: ConfigPath = DEFAULT, output: Output = None, json_output: Json = False) -> int:
    """The platform does not answer, or answers with errors."""
    return _diagnose("backend", "", config, output, json_output=json_output)


@app.command
def agent(
    node: Annotated[str, Parameter(help="Name or id of the machine.")],
    /,
    *,
    config: ConfigPath = DEFAULT,
    output: Output = None,
    json_output: Json = False,
) -> int:
    """A GPU host is unreachable. Also lists what to run on the host itself."""
    return _diagnose("agent", node, config, output, json_output=json_output)


@app.command
def database(*, config: ConfigPath = DEFAULT, output: Output = None, json_output: Json = False) -> int:
    """PostgreSQL does not answer, is slow, refuses connections, or fills the disk."""
    return _diagnose("database", "", config, output, json_output=json_output)


def _diagnose(
    handbook: "Handbook", node: str, config: Path, output: Path | None, *, json_output: bool
) -> int:
    def act(place: "Place") -> int:
        from remotegpu.site.verbs import diagnose as verb

        diagnosis = verb.diagnose(place, handbook, node, Steps())
        bundle = verb.keep(diagnosis, output)
        if json_output:
            print_json(as_json(diagnosis, bundle))
        else:
            show(diagnosis, bundle)
        return 0 if diagnosis.is_well else FAILED

    return guarded(config, act, json_output=json_output)


def as_json(diagnosis: "Diagnosis", bundle: Path) -> dict[str, object]:
    """Without the outputs, which are in the bundle."""
    findings = [
        {name: value for name, value in msgspec.structs.asdict(finding).items() if name != "output"}
        for finding in diagnosis.findings
    ]
    said = msgspec.structs.asdict(diagnosis) | {"findings": findings}
    return {"ok": diagnosis.is_well, **said, "bundle": str(bundle)}


def show(diagnosis: "Diagnosis", bundle: Path) -> None:
    rows = [[finding.level, finding.name, finding.found] for finding in diagnosis.findings]
    print_table(("RESULT", "STEP", "FOUND"), rows, empty="")
    print_line("")
    print_line(f"Likely cause  {diagnosis.likely_cause}")
    print_line(f"Next step     {diagnosis.next_step}")
    if diagnosis.on_the_host:
        print_line("On the host")
    for command in diagnosis.on_the_host:
        print_line(f"    {command}")
    print_line(f"Evidence      {bundle}")
