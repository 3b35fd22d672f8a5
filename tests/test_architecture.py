"""What holds the code together: import directions, one source for each fact, clean tools."""

import ast
import dataclasses
import doctest
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import ISAS

import qcodec
from qcodec import _core, registry

ROOT = Path(__file__).parents[1]
FORMAT = ROOT / "qcodec" / "container" / "FORMAT.md"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def run(code, folder, **environment):
    """Python code in a fresh process, away from the source folder."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


# ---- directions

# Each part may import what stands before it, and itself. `container` knows no codec.
LAYERS = [
    {"errors"},
    {"_core", "_arrays", "_threads", "stages"},
    {"registry"},
    {"transform", "quantize", "entropy", "container"},
    {"pipeline"},
    {"reading", "recipe", "search", "encoding"},
    {"packing", "metrics"},
    {"files"},
    {"blob"},
    {"presets"},
    {"__init__"},
    {"traffic"},
    {"io", "torch"},
    {"demo"},
    {"cli"},
]
CONTAINER_MAY = {"container", "errors", "_core", "_arrays"}
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}


def part_of(module):
    """Which part of the package a dotted module name belongs to."""
    rest = module.split(".")[1:]
    return rest[0] if rest else "__init__"


def top_level_imports(path):
    """Modules that importing a file imports; what is imported while running is another matter."""
    pending = list(ast.parse(path.read_text()).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from qcodec import _core` imports a part; `from qcodec.errors import X` a name
            names = [alias.name for alias in node.names] if node.module == "qcodec" else []
            known = [f"qcodec.{name}" for name in names if name in LEVEL]
            yield from known or [node.module]
        elif not isinstance(node, ast.FunctionDef | ast.ClassDef):
            pending += [
                child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)
            ]


def modules():
    for path in sorted((ROOT / "qcodec").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def test_imports_point_one_way():
    wrong = []
    for name, path in modules():
        here = part_of(name)
        assert here in LEVEL, f"{name} is in no layer: add it to LAYERS"
        for target in top_level_imports(path):
            if not target.startswith("qcodec") or part_of(target) == here:
                continue
            there = part_of(target)
            legal = there in CONTAINER_MAY if here == "container" else LEVEL[there] < LEVEL[here]
            if not legal:
                wrong.append(f"{name} imports {target}")
    assert wrong == []


def test_no_part_on_the_way_to_decode_imports_search_or_optional_packages():
    heavy = (
        "numba",
        "torch",
        "safetensors",
        "matplotlib",
        "click",
        "rich",
        "onnx",
        "qcodec.search",
    )
    for name, path in modules():
        if LEVEL[part_of(name)] <= LEVEL["__init__"] and part_of(name) != "search":
            imported = list(top_level_imports(path))
            assert [m for m in imported if m.startswith(heavy)] == [], name


C_LAYERS = {
    "core": {"core"},
    "simd": {"simd"},
    "transform": {"core", "simd", "transform"},
    "search": {"core", "simd", "quantize", "entropy", "search"},
    "quantize": {"core", "simd", "quantize"},
    "entropy": {"core", "simd", "entropy"},
    "traffic": {"core", "simd", "quantize", "entropy", "traffic"},
    "pipeline": {"core", "simd", "transform", "quantize", "entropy", "pipeline"},
}


def test_includes_point_one_way_and_python_is_known_in_bind_alone():
    for path in sorted((ROOT / "csrc").rglob("*.[ch]pp")):
        text = path.read_text()
        folder = path.relative_to(ROOT / "csrc").parts[0]
        if folder == "bind":
            continue
        assert not re.search(r"pybind11|Python\.h|py::", text), path
        included = set(re.findall(r'#include "([a-z]+)/', text))
        # The hash is a kernel with variants, so core may ask for the instruction set.
        allowed = C_LAYERS[folder] | ({"simd"} if folder == "core" else set())
        assert included <= allowed, path


DECODE = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Blocker())
import qcodec
tensors = qcodec.load_file({path!r})
print(len(tensors), sum(t.size for t in tensors.values()))
assert not any(name.startswith("qcodec.search") for name in sys.modules)
"""


@pytest.mark.parametrize(
    "codec",
    [
        "uniform(bits=8, axis=0) | huffman",
        "dct | uniform(step=0.1, rdo=0.1, profile=True)",
    ],
)
def test_decoding_needs_numpy_and_our_extensions_only(tmp_path, codec):
    # The shapes of a ResNet-20 for CIFAR-10: many small tensors.
    rng = np.random.default_rng(0)
    shapes = {
        "conv": (16, 3, 3, 3),
        "linear": (10, 64),
        "bias": (10,),
        "bn.w": (16,),
        "bn.b": (16,),
    }
    width = 16
    for stage, channels in enumerate((16, 32, 64)):
        for k in range(6):
            shapes[f"{stage}.{k}.conv"] = (channels, width, 3, 3)
            shapes[f"{stage}.{k}.bn.w"] = shapes[f"{stage}.{k}.bn.b"] = (channels,)
            width = channels
    tensors = {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    path = tmp_path / "resnet20.qc"
    qcodec.save_file(tensors, path, codec)
    blocked = {"numba", "llvmlite", "torch", "safetensors", "matplotlib", "click", "rich", "scipy"}
    done = run(DECODE.format(blocked=blocked, path=str(path)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(len(shapes)), str(sum(t.size for t in tensors.values()))]


@pytest.mark.parametrize("codec", ["lossless", "uniform(step=0.1)", "dct | uniform(step=0.1)"])
def test_encoding_without_a_search_does_not_import_numba(tmp_path, codec):
    code = f"""
import sys
sys.modules["numba"] = None
import numpy as np, qcodec
w = np.ones((4, 4, 3, 3), np.float32)
assert qcodec.decode(qcodec.encode(w, {codec!r})).shape == w.shape
qcodec.save_file({{"a": w, "b": w + 1}}, "m.qc", {codec!r})
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr


# ---- one source of truth


def format_rows():
    """Rows of the table of stages: (kind, name, ids, {option: default})."""
    section = FORMAT.read_text().split("\n## Stages\n")[1].split("\n### ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in ("transform", "quantizer", "coder"):
            options = re.findall(r"`(\w+)` ([^,]+)", cells[3])
            defaults = {
                name: dataclasses.MISSING if value == "required" else json.loads(value)
                for name, value in options
            }
            ids = [int(number) for number in re.findall(r"\d+", cells[2])]
            yield cells[0], re.findall(r"`(\w+)`", cells[1])[0], ids, defaults


def wire_ids(cls):
    """Ids of the kernels of a stage class: one, or one for each value of its one option."""
    return list(cls.wire_ids.values()) if hasattr(cls, "wire_ids") else [cls.wire_id]


def test_stages_of_the_format_are_those_of_the_registry():
    registered = [
        (kind, name, wire_ids(cls), {f.name: f.default for f in dataclasses.fields(cls)})
        for kind in ("transform", "quantizer", "coder")
        for name, cls in registry.stages(kind).items()
    ]
    listed = list(format_rows())
    assert sorted(registered, key=str) == sorted(listed, key=str)
    for (_, _, _, by_page), (_, _, _, by_class) in zip(
        sorted(listed, key=str), sorted(registered, key=str), strict=True
    ):
        assert list(by_page) == list(by_class)  # the order is part of the format


def test_ids_of_the_format_are_those_of_the_native_kernels():
    rows = list(format_rows())
    for kind, kernels in (("quantizer", _core.quantizers()), ("coder", _core.coders())):
        listed = {number: name for k, name, ids, _ in rows if k == kind for number in ids}
        # Kernels of one stage are told apart by their options.
        assert {number: name.split("(")[0] for name, number in kernels.items()} == listed


def test_kernel_of_each_option_of_a_coder_is_named_by_the_codec_string():
    for name, number in _core.coders().items():
        if registry.stages("coder")[name.split("(")[0]].lossy:
            continue  # its options are in the stream
        coder = qcodec.parse(f"lossless | {name}").coder
        assert (str(coder), coder.wire_id) == (name, number)


def test_dtypes_of_the_format_are_those_of_the_reader():
    from qcodec._arrays import DTYPE_CODES

    cells = re.findall(r"\| (\d+) \| `([A-Z0-9_]+)` \|", FORMAT.read_text())
    assert {name: int(code) for code, name in cells} == DTYPE_CODES


def test_version_is_the_same_everywhere():
    assert PYPROJECT["project"]["version"] == qcodec.__version__
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("qcodec")
    except PackageNotFoundError:
        return  # run from the source folder
    assert installed == qcodec.__version__


def test_license_and_type_marker_are_where_packaging_expects_them():
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")
    assert (ROOT / "qcodec" / "py.typed").exists()


# ---- tools


def tool(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing():
    tool("ruff", "check", "--no-cache")


def test_strict_mypy_finds_nothing(tmp_path):
    tool("mypy", "--cache-dir", str(tmp_path))


def sources():
    for folder in ("csrc", "qcodec", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".pyi", ".pyx", ".cpp", ".hpp") and "build" not in path.parts:
                yield path


def test_no_source_file_is_long():
    long = {
        str(p.relative_to(ROOT)): n
        for p in sources()
        if (n := len(p.read_text().split("\n"))) > 401
    }
    assert long == {}


def test_regions_of_vector_code_are_those_that_every_compiler_knows():
    # `#pragma GCC target` means nothing to clang, whose intrinsics then do not compile.
    known = ROOT / "csrc" / "simd" / "isa.hpp"
    bare = re.compile(r"GCC (target|push_options|pop_options)")
    found = [p for p in sources() if p.suffix in (".cpp", ".hpp") and bare.search(p.read_text())]
    assert found == [known]


@pytest.mark.parametrize("target", sorted(ROOT.glob("tests/fuzz/*.cpp")), ids=lambda p: p.stem)
def test_fuzz_targets_follow_what_they_call(target):
    # They are built by hand alone: one had an argument too few for a while, and nobody knew.
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no compiler")
    flags = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, "-I", ROOT / "csrc", target], check=True)


# ---- README


def python_blocks():
    readme = ROOT / "README.md"
    assert readme.exists(), "README.md is missing"
    return re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)


def test_code_of_the_readme_runs(tmp_path):
    blocks = python_blocks()
    assert blocks, "README.md has no Python block"
    done = run("\n".join(blocks), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name, _ in modules() if not name.endswith("__main__")])
def test_examples_in_docstrings_are_right(name):
    if part_of(name) == "torch":
        pytest.importorskip("torch", reason="torch is not installed")
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


# ---- instruction sets


@pytest.mark.parametrize("level", ISAS)
def test_environment_variable_forces_an_instruction_set(tmp_path, level):
    if ISAS.index(level) > ISAS.index(_core.best_isa()):
        pytest.skip(f"this CPU stops at {_core.best_isa()}")
    code = "import qcodec; from qcodec import _core; print(_core.isa())"
    assert run(code, tmp_path, QCODEC_ISA=level).stdout.strip() == level


@pytest.mark.parametrize("level", ["bogus", "AVX2", "sse", "avx2 "])
def test_unknown_instruction_set_in_the_environment_is_an_error(tmp_path, level):
    done = run("import qcodec", tmp_path, QCODEC_ISA=level)
    assert done.returncode != 0
    assert f"QCODEC_ISA is '{level}'" in done.stderr


def test_empty_environment_variable_is_as_good_as_none(tmp_path):
    code = "from qcodec import _core; assert _core.isa() == _core.best_isa()"
    assert run(code, tmp_path, QCODEC_ISA="").returncode == 0


def test_unknown_instruction_set_at_run_time_is_an_error_and_changes_nothing():
    before = _core.isa()
    with pytest.raises(ValueError, match="use portable, avx2 or avx512"):
        _core.set_isa("bogus")
    assert _core.isa() == before
