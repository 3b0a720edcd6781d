"""``docs/reference/cli.md`` from the command tree itself."""

from __future__ import annotations

from reference.marks import header
from remotegpu.cli.main import build_app
from remotegpu.client import errors

STATUSES = {
    0: "done",
    errors.EXIT_FAILURE: "failed; the message says what was found, what was expected, and what to do next",
    errors.EXIT_USAGE: "wrong usage",
    errors.EXIT_CONFLICT: "conflict: somebody else has it, or it is in another state",
    errors.EXIT_NOT_SIGNED_IN: "not signed in",
    errors.EXIT_UNREACHABLE: "the server cannot be reached",
    130: "interrupted",
}
INTRODUCTION = """\
# Command line

## Exit status

{table}

`remotegpu run` ends with the status of its task, `remotegpu ssh` with that of the command it ran. `up`, `down`,
`status` and `demo` have statuses of their own: 3 not running, 10 port busy, 11 damaged or foreign data directory,
12 data directory made by a newer version, 13 data directory not writable, 14 disk full, 15 a part is not installed,
16 runs already. `site` ends with 2 also when `remotegpu.yaml` cannot be used, and with 3 when somebody else changes the
site; `site status` and `site diagnose` with 1 when something is not well.

## Environment

| variable | meaning |
|---|---|
| `REMOTEGPU_SERVER_URL` | server to talk to, instead of the one signed in to |
| `REMOTEGPU_TOKEN` | personal access token, instead of the stored sign-in (for scripts and CI) |
| `XDG_CONFIG_HOME` | where the sign-in is stored, by default `~/.config` |

"""


def page() -> str:
    rows = [
        "| status | meaning |",
        "|---|---|",
        *(f"| {number} | {text} |" for number, text in STATUSES.items()),
    ]
    generated = build_app().generate_docs(output_format="markdown", recursive=True)
    groups = generated[
        generated.index("**Use machines**") :
    ]  # without the title and a second list of the same names
    body = f"## Commands\n\n{groups}"
    return (
        header("the commands' own help") + INTRODUCTION.format(table="\n".join(rows)) + body.rstrip() + "\n"
    )
