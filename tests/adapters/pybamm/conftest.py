"""Kernels of every model and chemistry for all battery tests, kept between test runs.

The name of a file in the cache is the hash of all that the kernel depends on, so none is stale.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.pybamm.kernel import Kernel, load
from adapters.pybamm.options import CellOptions

CELLS = [(model, chemistry) for model in ("SPM", "SPMe") for chemistry in ("nmc", "lfp")]


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(request: pytest.FixtureRequest) -> Iterator[None]:
    cache = request.config.cache
    assert cache is not None
    folder = cache.mkdir("voltstep")
    folder.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOLTSTEP_CACHE_DIR", str(folder))
        yield


@pytest.fixture(scope="session", params=CELLS, ids=lambda cell: "-".join(cell))
def kernel(request: pytest.FixtureRequest, kernel_cache: None) -> Kernel:
    """Every kernel that a scenario can choose, one after the other."""
    model, chemistry = request.param
    return load(CellOptions(model=model, chemistry=chemistry))


@pytest.fixture(scope="session", params=["nmc", "lfp"])
def spm(request: pytest.FixtureRequest, kernel_cache: None) -> Kernel:
    """The model without electrolyte, of both chemistries."""
    return load(CellOptions(model="SPM", chemistry=request.param))


@pytest.fixture(scope="session", params=["nmc", "lfp"])
def spme(request: pytest.FixtureRequest, kernel_cache: None) -> Kernel:
    """The model that ageing is calibrated with, of both chemistries."""
    return load(CellOptions(model="SPMe", chemistry=request.param))


@pytest.fixture(scope="session")
def nmc(kernel_cache: None) -> Kernel:
    """The default kernel."""
    return load(CellOptions())
