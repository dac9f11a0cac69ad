"""The compiled functions against numpy, and how the library is made, kept and refused."""

from __future__ import annotations

import multiprocessing
import os
import platform
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.pybamm import backend, cache, compiler, numpy_code
from adapters.pybamm import kernel as kernels
from adapters.pybamm.constants import ZERO_C_K
from adapters.pybamm.export import FIELDS
from adapters.pybamm.kernel import Kernel
from adapters.pybamm.lithium import cyclable_ah, electrodes_ah
from adapters.pybamm.method import STEP_INPUTS, STEP_OUTPUTS
from adapters.pybamm.packs import Packs
from adapters.pybamm.spec import Life, PackSpec
from adapters.pybamm.tape import BINARY, UNARY, Constant, Operand, Operation, Tape, from_arrays
from cosim.errors import BatteryError, UnknownOptionError
from cosim.signals import C_RATES
from tests.adapters.pybamm.fleets import as_dict, ask, random_ticks, single_cells

Floats = NDArray[np.float64]
TICKS = 48
Functions = Mapping[str, Callable[..., None]]

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, compiler.NAMES)), reason="there is no C compiler"
)


def _tape(name: str, *constants: float) -> Tape:
    """Do one operation on the rows of q, constants last."""
    reads = (1 if name in UNARY else 2) - len(constants)
    inputs = tuple(Operation("input", (0, row)) for row in range(reads))
    operands: tuple[Operand, ...] = (*range(reads), *map(Constant, constants))
    return Tape((("q", reads),), 1, (*inputs, Operation(name, operands)), {(0, 0): reads})


def _compiled(tapes: Mapping[str, Tape], digest: str = "test") -> Functions:
    return compiler.load(tapes, digest, compiler.find())


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    return tmp_path / "battery"


def _values() -> Floats:
    rng = np.random.default_rng(5)
    sizes = 10.0 ** rng.uniform(-12, 3, 4000)
    edges = [0.0, -0.0, 1.0, -1.0, 709.0, -709.0, 800.0, -800.0, 1e-320, 1e200, np.inf, -np.inf]
    return np.concatenate([sizes, -sizes, rng.uniform(0.5, 2, 2000), edges, [np.nan]])


@needs_compiler
@pytest.mark.usefixtures("own_cache")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("narrower", ["", "-mno-avx512f", "-mno-avx"])
def test_every_operation_equals_numpys(narrower: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if narrower:
        if platform.machine() not in ("x86_64", "AMD64"):
            pytest.skip("this processor has vectors of one width")
        monkeypatch.setenv("CC", f"{next(filter(shutil.which, compiler.NAMES))} {narrower}")
    operations = [Operation("input", (0, 0)), Operation("input", (0, 1))]
    operations += [Operation(name, (0,)) for name in UNARY]
    operations += [Operation(name, (0, 1)) for name in BINARY]
    operations += [Operation(name, (0, Constant(0.7))) for name in BINARY]
    operations += [Operation(name, (Constant(-0.5), 1)) for name in BINARY]
    rows = range(len(operations))
    tape = Tape((("q", 2),), len(rows), tuple(operations), {(0, row): row for row in rows})
    x = _values()
    q = np.vstack([x, np.random.default_rng(6).permutation(x)])
    found, expected = np.empty((2, len(rows), x.size))
    # The names of C's own functions must not get into the way of ours.
    _compiled({"exp": tape})["exp"](q, found)
    numpy_code.load({"exp": tape})["exp"](q, expected)
    for operation, ours, theirs in zip(operations, found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs), err_msg=str(operation))
        np.testing.assert_allclose(ours, theirs, rtol=2e-15, atol=1e-300, err_msg=str(operation))


@needs_compiler
@pytest.mark.usefixtures("own_cache")
def test_a_result_does_not_depend_on_the_lane() -> None:
    ours = _compiled({f"do_{name}": _tape(name) for name in ("exp", "log", "tanh", "arcsinh")})
    x = np.random.default_rng(7).uniform(0.1, 3, (1, 300))
    for function in ours.values():
        whole = np.empty_like(x)
        function(x, whole)
        for start in range(0, 20, 3):
            for count in (1, 2, 7, 8, 9, 65, 200):
                part = np.empty((1, count))
                function(x[:, start : start + count], part)
                assert np.array_equal(part, whole[:, start : start + count])


def _day(kernel: Kernel, count: int, seed: int, harsh: float) -> list[dict[str, Floats]]:
    rng = np.random.default_rng(seed)
    spec = PackSpec.of(
        rng.uniform(20, 100, count),
        400.0,
        rng.uniform(50, 150, count),
        rng.uniform(80, 300, count),
    )
    packs = Packs(kernel, spec, rng.uniform(0.02, 0.99, count), Life(heater_kw=3.0))
    ticks: list[dict[str, Floats]] = []
    for tick in range(TICKS):
        drives = rng.random(count) < 0.4
        traction = np.where(drives, harsh * rng.uniform(-0.5, 2.0, count), 0)
        plug = np.where(drives, 0, harsh * rng.uniform(-20, 60, count))
        warm = 15 - 15 * np.cos(tick / TICKS * 6.283)
        found = as_dict(packs.advance(tick, ask(count, plug, traction, warm, 0.93)))
        # Kelvin: near 0 degC a relative error means nothing.
        found["vehicle_temperature_c"] += ZERO_C_K
        ticks.append({**found, "states": packs.state()["states"]})
    return ticks


@needs_compiler
@pytest.mark.parametrize(("seed", "harsh"), [(1, 0.3), (3, 6.0)])
def test_both_backends_give_the_same_day(kernel: Kernel, seed: int, harsh: float) -> None:
    days = [_day(kernels.load(kernel.options, name), 16, seed, harsh) for name in ("c", "numpy")]
    for ours, theirs in zip(*days, strict=True):
        for name, expected in theirs.items():
            # States are of the size of 1.
            scale = max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(
                ours[name], expected, rtol=1e-9, atol=1e-9 * scale, err_msg=name
            )


@needs_compiler
def test_both_backends_give_the_same_functions(kernel: Kernel) -> None:
    """Every function but the search for the limit, on states of use, to 1e-9."""
    n, c = 40, kernel.constants
    packs = single_cells(kernel, np.random.default_rng(4).uniform(0.1, 0.9, n))
    random_ticks(packs, 5, seed=2)
    x, view = packs.state()["states"], packs._view
    ends = packs.state()["ends"]
    currents = np.full((2, n), c["new_capacity_ah"])
    heat_j_k = np.full(n, c["heat_capacity_j_k"])
    rates = np.vstack([packs._balance.slopes, currents, heat_j_k])
    figures = [*ends, cyclable_ah(packs._c, view), *electrodes_ah(packs._c, view)]
    hold = {
        "power_w": np.linspace(-1, 1, n) * c["new_energy_wh"],
        "ambient_k": 290.0,
        "limit_v": np.where(np.linspace(-1, 1, n) > 0, c["lower_v"], c["upper_v"]),
        "lowest_a": -20.0,
        "highest_a": 20.0,
        "charge_a": 20.0,
        "discharge_a": 20.0,
        "cooling_w_k": c["cooling_w_k"],
        "heat_capacity_j_k": heat_j_k,
        "step_s": 60.0,
    }
    asked = np.array([np.broadcast_to(hold.get(name, 0.0), n) for name in STEP_INPUTS])
    given = {
        "step": (x, asked),
        "observe": (x,),
        "balance": (np.vstack(figures),),
        "resistance": (x,),
        "particle_energy": (x,),
        "wear": (x, rates),
    }
    rows = {
        "step": len(STEP_OUTPUTS),
        "observe": len(FIELDS),
        "balance": 8,
        "particle_energy": 2,
        "wear": len(C_RATES),
    }
    both = [kernels.load(kernel.options, name) for name in ("c", "numpy")]
    for name, arguments in given.items():
        found: list[Floats] = []
        for one in both:
            copies = [np.array(argument) for argument in arguments]
            result = np.empty((rows.get(name, 1), n))
            getattr(one, name)(*copies, result)
            found.append(np.vstack([result, copies[0]]))
        largest = np.abs(found[1]).max(axis=1, keepdims=True)
        error = np.abs(found[0] - found[1]) / np.maximum(largest, 1e-12)
        assert error.max() < 1e-9, name


@needs_compiler
def test_the_kernel_says_who_computes(nmc: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backend.VARIABLE, "numpy")
    assert kernels.load(nmc.options).backend == "numpy"
    monkeypatch.setenv(backend.VARIABLE, "c")
    compiled = kernels.load(nmc.options)
    assert compiled.backend == "c"
    assert compiled.backend_detail == str(compiler.find())
    monkeypatch.setenv(backend.VARIABLE, "fortran")
    with pytest.raises(UnknownOptionError, match="choose from c, numpy"):
        kernels.load(nmc.options)


@pytest.mark.parametrize("found", ["nothing", "unknown", "broken"])
def test_without_a_compiler_numpy_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    monkeypatch.delenv(backend.VARIABLE, raising=False)
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'cc: it is broken' >&2\nexit 3\n")
    broken.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("CC", {"nothing": "", "unknown": "no-such-cc", "broken": str(broken)}[found])
    tapes = _tape("add").arrays("total")
    loaded = backend.load(tapes)
    assert loaded.name == "numpy"
    words = {"nothing": "no C compiler", "unknown": "no-such-cc", "broken": "it is broken"}[found]
    assert words in loaded.detail
    r = np.empty((1, 3))
    loaded.functions["total"](np.ones((2, 3)), r)
    assert np.array_equal(r, [[2, 2, 2]])
    with pytest.raises(BatteryError, match=words):
        backend.load(tapes, "c")


@needs_compiler
@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "text"])
def test_a_damaged_library_is_built_anew(own_cache: Path, harm: str) -> None:
    tapes = {"total": _tape("add")}
    _compiled(tapes)
    [path] = own_cache.iterdir()
    data = path.read_bytes()
    middle = len(data) // 2
    # In a file of its own: the library that this process has open must stay as it is.
    path.unlink()
    path.write_bytes(
        {
            "cut": data[:middle],
            "changed": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
            "empty": b"",
            "text": b"no library",
        }[harm]
    )
    path.chmod(0o600)
    r = np.empty((1, 1))
    _compiled(tapes)["total"](np.array([[1.0], [2.0]]), r)
    assert r[0, 0] == 3
    assert path.read_bytes() == data


@needs_compiler
@pytest.mark.skipif(os.name != "posix", reason="the file's mode says nothing")
def test_a_library_that_others_can_write_is_not_loaded(own_cache: Path) -> None:
    tapes = {"total": _tape("add")}
    _compiled(tapes)
    [path] = own_cache.iterdir()
    before = path.stat().st_ino
    path.chmod(0o666)
    assert not cache.private(path)
    _compiled(tapes)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_ino != before
    own_cache.chmod(0o777)
    _compiled(tapes)
    assert stat.S_IMODE(own_cache.stat().st_mode) == 0o700


@needs_compiler
@pytest.mark.usefixtures("own_cache")
def test_nothing_is_loaded_from_a_folder_of_others(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "private", lambda path: False)
    r = np.empty((1, 1))
    _compiled({"total": _tape("add")})["total"](np.array([[1.0], [2.0]]), r)
    assert r[0, 0] == 3
    assert list(own_cache.iterdir()) == []


@needs_compiler
@pytest.mark.usefixtures("own_cache")
def test_the_name_follows_model_compiler_and_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    found = compiler.find()
    names = {compiler.library_path("one", found), compiler.library_path("two", found)}
    monkeypatch.setenv("CC", "cc -O1")
    names.add(compiler.library_path("one", compiler.find()))
    monkeypatch.setattr(compiler, "VARIANTS", ((),))
    names.add(compiler.library_path("one", compiler.find()))
    assert len(names) == 4


def _start(barrier: object, queue: object) -> None:
    try:
        barrier.wait()  # type: ignore[attr-defined]
        functions = _compiled({"total": _tape("add")})
        r = np.empty((1, 1))
        functions["total"](np.array([[1.0], [2.0]]), r)
        queue.put(float(r[0, 0]))  # type: ignore[attr-defined]
    except BaseException as error:
        queue.put(repr(error))  # type: ignore[attr-defined]


@needs_compiler
def test_processes_that_build_at_once_all_have_a_library(own_cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_start, args=(barrier, queue)) for _ in range(4)]
    for process in processes:
        process.start()
    found = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert found == [3.0] * 4
    assert [path.suffix for path in own_cache.iterdir()] == [".so"]


def test_a_tape_comes_back_from_its_arrays() -> None:
    tape = _tape("multiply", 1.5)
    assert from_arrays("f", tape.arrays("f")) == tape


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("operations", [[0, 0, 2]]),
        ("operations", [[0, 1, 0]]),
        ("operations", [[1, 0, 0]]),
        ("operations", [[99, 0, 0]]),
        ("operations", [[0, 0, 0], [20, 0, ~1]]),
        ("outputs", [[0, 1, 0]]),
        ("outputs", [[1, 0, 0]]),
        ("outputs", [[0, 0, 5]]),
        ("arguments", ["q; import os"]),
    ],
)
def test_arrays_that_are_no_tape_are_refused(key: str, value: list[object]) -> None:
    arrays = _tape("multiply", 1.5).arrays("f")
    arrays[f"f.{key}"] = np.array(value)
    with pytest.raises(ValueError, match="f "):
        from_arrays("f", arrays)


@pytest.mark.parametrize("name", ["c", "numpy"])
def test_wrong_arrays_never_reach_the_code(name: str) -> None:
    if name == "c" and not any(map(shutil.which, compiler.NAMES)):
        pytest.skip("there is no C compiler")
    function = backend.load(_tape("add").arrays("f"), name).functions["f"]
    good, r = np.ones((2, 6)), np.empty((1, 6))
    for wrong in (np.ones((3, 6)), np.ones((2, 5)), np.ones((2, 12))[:, ::2],
                  np.ones((2, 6), dtype=np.float32)):  # fmt: skip
        with pytest.raises(BatteryError, match="needed"):
            function(wrong, r)
    with pytest.raises(BatteryError, match="needed"):
        function(good)
    function(good, r)
    assert np.array_equal(r, np.full((1, 6), 2.0))
