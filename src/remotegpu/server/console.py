"""Serves the console: files under hashed names for ever, and ``index.html`` for every page of the single-page app."""

from pathlib import Path

from litestar import Response, get
from litestar.datastructures import CacheControlHeader
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.response import File
from litestar.router import Router
from litestar.static_files import create_static_files_router

from remotegpu.server.core.guards import PUBLIC

FOLDER = Path(__file__).parent / "console"
FOR_EVER = CacheControlHeader(public=True, max_age=31_536_000, immutable=True)
MISSING = """<!doctype html><meta charset="utf-8"><title>RemoteGPU</title>
<h1>The console is not built</h1><p>Run <code>make console</code> in the source tree. The API is at
<a href="/api/v1/docs">/api/v1/docs</a>.</p>"""


@get(["/", "/{path:path}"], guards=[PUBLIC], include_in_schema=False, sync_to_thread=False)
def page(path: str = "") -> File | Response[str]:
    """A file of the console's root folder, else the app itself, which shows the page of this path."""
    if path.startswith(("/api/", "/assets/")):
        raise NotFoundException(f"there is nothing at {path}")
    index = FOLDER / "index.html"
    if not index.exists():
        return Response(MISSING, media_type="text/html", status_code=200)
    headers = {"Cache-Control": "no-cache"}
    known = _file(path) or index
    return File(
        known, filename=known.name, content_disposition_type="inline", headers=headers
    )  # the name tells the type


def _file(path: str) -> Path | None:
    """The file of the console's folder at ``path``; None when there is none, also for what no file can be named."""
    try:
        wanted = (FOLDER / path.lstrip("/")).resolve()
        return wanted if wanted.is_relative_to(FOLDER.resolve()) and wanted.is_file() else None
    except (OSError, ValueError):
        return None


def handlers() -> list[HTTPRouteHandler | Router]:
    """Routes of the console; without a build, a page that says how to make one."""
    assets = FOLDER / "assets"
    if not assets.is_dir():
        return [page]
    cached = create_static_files_router(
        "/assets", [assets], guards=[PUBLIC], include_in_schema=False, cache_control=FOR_EVER
    )
    return [cached, page]
