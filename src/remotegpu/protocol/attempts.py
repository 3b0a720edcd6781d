"""Task attempts: what the server wants run, what the agent reports, and where logs and artifacts go.

Routes, all authenticated with the node token:

* ``POST /api/v1/agent/attempts/{attempt_id}/log?offset=N&final=0|1`` — raw bytes, at most ``LOG_CHUNK_BYTES``.
  Answers :class:`LogAck`. When ``offset`` is not what the server has, nothing is stored and the answer names the
  offset to go on from: the agent's file is the source of truth until ``final`` was acknowledged.
* ``POST /api/v1/agent/attempts/{attempt_id}/artifacts`` — :class:`ArtifactOffer` → :class:`ArtifactUpload` list.
  The agent PUTs each file to its URL (no authentication header), then reports the final state, which lists them.
"""

from typing import Literal

import msgspec

from remotegpu.protocol.bounds import Amount, ExitCode

LOG_CHUNK_BYTES = 256 * 1024
"""Largest body of one log call, and the size of a stored log segment."""

TaskKind = Literal["shell", "python", "script"]
FinalState = Literal["succeeded", "failed", "timed_out", "stopped"]
AttemptState = Literal["running", "succeeded", "failed", "timed_out", "stopped"]
"""What an agent may report. ``assigned`` is the server's word for an attempt no agent has started yet."""


class AttemptSpec(msgspec.Struct, kw_only=True, frozen=True):
    """One attempt of one task as the agent must run it.

    * ``shell``: ``command`` is run by ``bash -c`` with ``args`` as ``$1…``.
    * ``python``: ``command`` is the source text, run as ``python main.py ARGS``.
    * ``script``: ``command`` is the text of an executable file with its own ``#!`` line.

    ``gpu_indices`` becomes ``CUDA_VISIBLE_DEVICES``. ``timeout_s`` counts from the start of the process.
    ``output_dir`` is given to the process as ``REMOTEGPU_OUTPUT_DIR``; every file in it becomes an artifact.
    ``stop`` asks for SIGTERM, then SIGKILL after ``grace_s``.
    """

    attempt_id: str
    task_id: str
    number: int
    account: str
    kind: TaskKind
    command: str
    args: list[str] = []
    env: dict[str, str] = {}
    workdir: str | None = None
    gpu_indices: list[int] = []
    timeout_s: int = 86_400
    grace_s: int = 10
    max_log_bytes: int = 10 * 1024 * 1024
    stop: bool = False


class ArtifactFile(msgspec.Struct, kw_only=True, frozen=True):
    """``path`` is relative to the output directory, POSIX separators, no ``..``. ``sha256`` in lower-case hex."""

    path: str
    size_bytes: int
    sha256: str


class AttemptReport(msgspec.Struct, kw_only=True, frozen=True):
    """State of one attempt as the agent knows it. Final reports repeat until the server drops the attempt.

    ``exit_code`` is negative for a signal, as in ``subprocess``. Times are the agent's clock (epoch seconds);
    the server bounds them by its own. ``log_bytes`` counts what the process wrote, before truncation.
    """

    attempt_id: str
    state: AttemptState
    exit_code: ExitCode | None = None
    reason: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    log_bytes: Amount = 0
    log_truncated: bool = False
    artifacts: list[ArtifactFile] = []


class LogAck(msgspec.Struct, kw_only=True):
    """``next_offset``: the byte the server expects next. ``accepted``: whether this body was stored."""

    next_offset: int
    accepted: bool


class ArtifactOffer(msgspec.Struct, kw_only=True):
    files: list[ArtifactFile]


class ArtifactUrl(msgspec.Struct, kw_only=True):
    """Presigned PUT for one path. ``url`` expires after minutes: ask again rather than keep it."""

    path: str
    url: str


class ArtifactUpload(msgspec.Struct, kw_only=True):
    urls: list[ArtifactUrl]
