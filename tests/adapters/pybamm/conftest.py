"""One kernel for all battery tests, built once in a cache of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.pybamm.kernel import Kernel, load
from adapters.pybamm.options import CellOptions


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield load(CellOptions())
