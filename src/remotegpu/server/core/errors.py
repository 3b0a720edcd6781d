"""One error root. The class knows its status and code; the message says what was found and what to do next."""

from remotegpu.kit.explain import FieldProblem


class RemoteGPUError(Exception):
    """Root of every error the API answers on purpose."""

    status = 500
    code = "internal_error"
    title = "Something went wrong on the server"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: list[FieldProblem] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.errors = errors or []
        self.retry_after = retry_after
        self.headers: dict[str, str] = {}


class InvalidError(RemoteGPUError):
    status = 422
    code = "invalid"
    title = "The request is not valid"


class MalformedError(RemoteGPUError):
    """Not readable at all; what can be read and is wrong is :class:`InvalidError`."""

    status = 400
    code = "malformed"
    title = "The request cannot be read"


class UnsupportedMediaTypeError(RemoteGPUError):
    status = 415
    code = "unsupported_media_type"
    title = "The body has the wrong type"


class NotAuthenticatedError(RemoteGPUError):
    status = 401
    code = "not_authenticated"
    title = "Sign in first"


class ForbiddenError(RemoteGPUError):
    status = 403
    code = "forbidden"
    title = "Not allowed"


class NotFoundError(RemoteGPUError):
    """Also the answer for an object of somebody else: existence is not told."""

    status = 404
    code = "not_found"
    title = "Not found"


class ConflictError(RemoteGPUError):
    status = 409
    code = "conflict"
    title = "The state does not allow this"


class UpgradeRequiredError(RemoteGPUError):
    status = 426
    code = "upgrade_required"
    title = "This version is too old or too new"


class TooManyRequestsError(RemoteGPUError):
    status = 429
    code = "too_many_requests"
    title = "Slow down"


class UnavailableError(RemoteGPUError):
    status = 503
    code = "unavailable"
    title = "A part of the platform does not answer"
