"""One site for all of these tests, deployed from nothing by the command line. Each leaves it serving."""

from collections.abc import Iterator

import pytest

from stack.conftest import Images
from stack.engine import Engine
from stack.site import people
from stack.site.bed import Site, new_site
from stack.site.people import Account, Session, Tenant
from stack.site.variants import Variants


@pytest.fixture(scope="session")
def variants(engine: Engine, images: Images) -> Variants:
    return Variants(engine, images)


@pytest.fixture(scope="session")
def site(engine: Engine, variants: Variants) -> Iterator[Site]:
    """Its first release serves."""
    with new_site(engine) as made:
        variants.same(made.version(0))
        made.do("deploy", made.version(0), "--why=first")
        yield made


@pytest.fixture(scope="session")
def next_version(site: Site, variants: Variants) -> str:
    """A second release, the same but for its version."""
    return variants.same(site.version(1))


@pytest.fixture(scope="session")
def administrator(site: Site) -> Account:
    return people.first_administrator(site)


@pytest.fixture(scope="session")
def gpu_host(site: Site, images: Images, administrator: Account) -> Iterator[str]:
    """The container of a GPU host that has joined."""
    with people.gpu_host(site, images.agent, administrator) as container:
        people.until_online(site, administrator)
        yield container


@pytest.fixture
def at_first(site: Site) -> str:
    """The first release serves when the test begins. Its version."""
    site.bring(site.version(0))
    return site.version(0)


@pytest.fixture
def serving(site: Site) -> str:
    """The version that serves when the test begins, whichever that is: another one takes a quarter of a minute."""
    return str(site.serving()["version"])


@pytest.fixture
def admin(site: Site, administrator: Account) -> Session:
    return people.sign_in(site, administrator)


@pytest.fixture
def tenant(site: Site, administrator: Account, gpu_host: str) -> Iterator[Tenant]:  # noqa: ARG001 - it must be there
    """Somebody who has leased the machine; the lease ends with the test."""
    found = people.tenant(site, administrator)
    yield found
    token = people.sign_in(site, administrator).access_token
    site.door.ask(
        "POST", f"/api/v1/allocations/{found.allocation}/end", {"reason": "end of the test"}, token=token
    )
