"""The API, served once for a file of tests; each test begins with the same projects and people."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.api_server import ApiServer, api_server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The server."""
    with api_server(tmp_path_factory.mktemp("api")) as made:
        yield made


@pytest.fixture
def api(served: ApiServer) -> ApiServer:
    """The server, as it is at a test's beginning."""
    served.begin()
    return served
