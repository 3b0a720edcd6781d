"""Words in logs that say what is wrong, with what they mean and what to do. Data, and one pure search."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class Symptom:
    """``pattern``: a regular expression over one line."""

    pattern: str
    cause: str
    next_step: str


DISK_FULL = Symptom(
    r"No space left on device|could not extend file|disk full",
    "a disk is full",
    "Make room (docker system df; old backups), then look again.",
)
PROGRAM: tuple[Symptom, ...] = (
    DISK_FULL,
    Symptom(
        r"password authentication failed",
        "PostgreSQL refuses the application's password",
        "Bring roles and secrets in line again: remotegpu site deploy",
    ),
    Symptom(
        r"WRONGPASS|NOAUTH",
        "Redis refuses the application's password",
        "Bring its users and the secrets in line again: remotegpu site deploy",
    ),
    Symptom(
        r"certificate verify failed|CERTIFICATE_VERIFY_FAILED|certificate has expired",
        "a certificate inside the site is not believed",
        "See its days: remotegpu site status. A deployment renews it: remotegpu site deploy",
    ),
    Symptom(
        r"remaining connection slots|too many clients|too many connections",
        "PostgreSQL has no connection left",
        "See who holds them: remotegpu site diagnose database",
    ),
    Symptom(
        r"InvalidAccessKeyId|SignatureDoesNotMatch",
        "the object store refuses the application's key",
        "Bring the secrets in line again: remotegpu site deploy",
    ),
    Symptom(
        r"UndefinedColumn|UndefinedTable|relation \"\w+\" does not exist|column .* does not exist",
        "the program and the schema are of different releases",
        "See which: remotegpu site status. Finish the deployment, or go back: remotegpu site rollback",
    ),
    Symptom(
        r"could not translate host name|Name or service not known|Temporary failure in name resolution",
        "a service is not in the network under its name",
        "See which is down: remotegpu site status",
    ),
    Symptom(
        r"MemoryError|Killed process|Out of memory",
        "a program ran out of memory",
        "Raise its limit: limits in remotegpu.yaml",
    ),
    Symptom(
        r"SettingsError|unusable settings",
        "the program refuses its settings",
        "Check them: remotegpu site check",
    ),
)
DATABASE: tuple[Symptom, ...] = (  # not the archive: old words of it say less than its figures do
    DISK_FULL,
    Symptom(
        r"invalid page in block|page verification failed|checksum mismatch|could not read block|"
        r"unexpected data beyond EOF",
        "pages of the database are damaged",
        "Stop writing, keep the volume as it is, and restore: remotegpu site restore",
    ),
    Symptom(
        r"PANIC:",
        "PostgreSQL gave up",
        "Read the lines around it; when it does not come back: remotegpu site restore",
    ),
    Symptom(
        r"sorry, too many clients|remaining connection slots",
        "PostgreSQL has no connection left",
        "See who holds them in the step connections.",
    ),
    Symptom(
        r"out of memory|terminated by signal 9",
        "PostgreSQL ran out of memory",
        "Raise limits.postgresql.memory in remotegpu.yaml, then: remotegpu site deploy",
    ),
    Symptom(
        r"database files are incompatible|initialized by PostgreSQL version",
        "the data is of another major version of PostgreSQL",
        "Go back to the image before: remotegpu site rollback",
    ),
    Symptom(
        r"could not load server certificate|private key file .* (has group|must be owned)",
        "PostgreSQL refuses its certificate's files",
        "Write them anew: remotegpu site deploy",
    ),
)


def first(lines: Iterable[str], symptoms: Sequence[Symptom]) -> tuple[Symptom, str] | None:
    """The symptom of the latest line that has one, with that line."""
    compiled = [(re.compile(symptom.pattern), symptom) for symptom in symptoms]
    found: tuple[Symptom, str] | None = None
    for line in lines:
        symptom = next((symptom for pattern, symptom in compiled if pattern.search(line)), None)
        if symptom:
            found = symptom, line.strip()[:SHOWN_CHARACTERS]
    return found


HARMLESS = re.compile(
    r"the database system is (starting up|shutting down)|terminating connection due to administrator command"
)
"""What every restart leaves in PostgreSQL's log."""


def errors(lines: Iterable[str]) -> list[str]:
    """Lines that are errors: by their level where they are JSON, else by their words."""
    return [line for line in lines if _is_error(line) and not HARMLESS.search(line)]


def _is_error(line: str) -> bool:
    if line.startswith("{"):
        try:
            return str(json.loads(line).get("level", "")).lower() in {"error", "critical", "fatal"}
        except (ValueError, AttributeError):
            return False
    return bool(re.search(r"\b(ERROR|FATAL|PANIC|CRITICAL)\b|\[(emerg|alert|crit|error)\]|^Traceback ", line))
