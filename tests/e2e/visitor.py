"""A person with a browser window of their own, who notices everything that goes wrong in it."""

import re
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    expect,
)

PATIENCE_MS = 30_000
"""The machine that runs this may be busy; nothing waits longer than it must."""

expect.set_options(timeout=PATIENCE_MS)

ALWAYS_EXPECTED = (
    r"^401 POST /api/v1/auth/refresh$",  # a first page asks whether there is a session to go on with
    r"^failed \w+ \S+ net::ERR_ABORTED$",  # leaving a page ends what it was still waiting for
    r"^console: Failed to load resource: ",  # said again by the request itself, with its address
)


@dataclass
class Visitor:
    """``expected``: patterns of what may go wrong in this test. Anything else fails it when the visitor leaves."""

    name: str
    context: BrowserContext
    page: Page
    url: str
    expected: list[str] = field(default_factory=lambda: [*ALWAYS_EXPECTED])
    problems: list[str] = field(default_factory=list[str])

    @classmethod
    async def arrive(
        cls,
        browser: Browser,
        url: str,
        name: str = "visitor",
        *,
        locale: str = "en-US",
        scheme: str = "light",
        size: tuple[int, int] = (1440, 900),
    ) -> "Visitor":
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            locale=locale,
            color_scheme="dark" if scheme == "dark" else "light",
            base_url=url,
        )
        context.set_default_timeout(PATIENCE_MS)
        visitor = cls(name, context, await context.new_page(), url)
        visitor.watch(visitor.page)
        context.on("page", visitor.watch)
        return visitor

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on("console", self._console)
        page.on("requestfailed", self._failed)
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"console: {message.text}")

    def _failed(self, request: Request) -> None:
        self.problems.append(f"failed {request.method} {self._path(request.url)} {request.failure}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status} {response.request.method} {self._path(response.url)}")

    def _path(self, url: str) -> str:
        return url.removeprefix(self.url).partition("?")[0]

    def expects(self, *patterns: str) -> None:
        self.expected += patterns

    def unexpected(self) -> list[str]:
        return [
            problem
            for problem in self.problems
            if not any(re.search(known, problem) for known in self.expected)
        ]

    def seen(self, test_id: str) -> Locator:
        """What a person looks at or clicks, by its test id."""
        return self.page.get_by_test_id(test_id)

    async def click(self, test_id: str) -> None:
        await self.seen(test_id).first.click()

    async def fill(self, test_id: str, text: str) -> None:
        await self.seen(test_id).fill(text)

    async def go(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def leave(self) -> None:
        await self.context.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()
        if error is None:
            unexpected = "\n  ".join(self.unexpected())
            assert not unexpected, f"in the browser of {self.name}:\n  {unexpected}"
