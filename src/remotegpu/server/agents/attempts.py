"""Where the agent puts logs and artifacts."""

import uuid

from sqlalchemy import select

from remotegpu.protocol.attempts import ArtifactOffer, ArtifactUpload, ArtifactUrl
from remotegpu.server.core.errors import ConflictError, FieldProblem, InvalidError, NotFoundError
from remotegpu.server.core.services import Services
from remotegpu.server.domains.tasks import service as tasks
from remotegpu.server.domains.tasks.models import Attempt

MAX_FILES = 1_000
MAX_PATH_BYTES = 1_024


async def upload_urls(
    services: Services, machine_id: uuid.UUID, attempt_id: uuid.UUID, offer: ArtifactOffer
) -> ArtifactUpload:
    """A presigned PUT for each offered file. Raises when one of them cannot be accepted, naming all that cannot."""
    _check_offer(offer)
    async with services.sessions() as tx:
        attempt = await tx.scalar(select(Attempt).filter_by(id=attempt_id, machine_id=machine_id))
    if attempt is None:
        raise NotFoundError(f"there is no attempt {attempt_id} on this machine")
    if attempt.state not in {"assigned", "running"}:
        raise ConflictError(f"this attempt is {attempt.state}; stop it and forget it", code="attempt_closed")
    urls = [
        ArtifactUrl(
            path=file.path,
            url=await services.objects.upload_url(tasks.artifact_key(attempt, file.sha256, file.path)),
        )
        for file in offer.files
    ]
    return ArtifactUpload(urls=urls)


def _check_offer(offer: ArtifactOffer) -> None:
    problems: list[FieldProblem] = []
    if len(offer.files) > MAX_FILES:
        problems.append(
            FieldProblem(
                "files", f"{len(offer.files)} files", f"at most {MAX_FILES}; pack them into an archive"
            )
        )
    for number, file in enumerate(offer.files):
        where = f"files[{number}]"
        if not _is_relative(file.path):
            problems.append(
                FieldProblem(f"{where}.path", file.path[:100], "a relative path without . or .. parts")
            )
        if file.size_bytes < 0:
            problems.append(FieldProblem(f"{where}.size_bytes", str(file.size_bytes), "0 or more"))
        if len(file.sha256) != 64 or any(digit not in "0123456789abcdef" for digit in file.sha256):
            problems.append(FieldProblem(f"{where}.sha256", file.sha256[:80], "64 lower-case hex digits"))
    if problems:
        raise InvalidError("these artifacts cannot be stored", code="invalid_artifacts", errors=problems)


def _is_relative(path: str) -> bool:
    parts = path.split("/")
    return (
        0 < len(path.encode(errors="replace")) <= MAX_PATH_BYTES
        and "\x00" not in path
        and all(part not in {"", ".", ".."} for part in parts)
    )
