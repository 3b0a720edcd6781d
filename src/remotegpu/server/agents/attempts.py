"""Where the agent puts artifacts."""

import uuid

from sqlalchemy import select

from remotegpu.protocol.attempts import ArtifactOffer, ArtifactUpload, ArtifactUrl
from remotegpu.server.core.errors import ConflictError, InvalidError, NotFoundError
from remotegpu.server.core.services import Services
from remotegpu.server.domains.tasks import artifacts, repository
from remotegpu.server.domains.tasks.models import Attempt


async def upload_urls(
    services: Services, machine_id: uuid.UUID, attempt_id: uuid.UUID, offer: ArtifactOffer
) -> ArtifactUpload:
    """A presigned PUT for each offered file. Raises when one of them cannot be accepted, naming all that cannot."""
    if problems := artifacts.problems_of(offer.files):
        raise InvalidError("these artifacts cannot be stored", code="invalid_artifacts", errors=problems)
    async with services.sessions() as tx:
        attempt = await tx.scalar(select(Attempt).filter_by(id=attempt_id, machine_id=machine_id))
    if attempt is None:
        raise NotFoundError(f"there is no attempt {attempt_id} on this machine")
    if attempt.state not in repository.OPEN:
        raise ConflictError(f"this attempt is {attempt.state}; stop it and forget it", code="attempt_closed")
    keys = {file.path: artifacts.object_key(attempt.task_id, attempt.id, file) for file in offer.files}
    urls = [ArtifactUrl(path=path, url=await services.objects.upload_url(key)) for path, key in keys.items()]
    return ArtifactUpload(urls=urls)
