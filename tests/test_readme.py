"""The code of the README and of the documentation runs, in its order."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skchaosprune
from skchaosprune.criteria import CRITERIA
from tests.compilers import COMPILERS, compile_c

FOLDER = Path(__file__).parents[1]
README = FOLDER / "README.md"


def run_blocks(path):
    """Run the Python blocks of a page, in their order; return them and their names."""
    blocks = re.findall(
        r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    names = {}
    for block in blocks:
        exec(compile(block, str(path), "exec"), names)
    return blocks, names


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The weights are ranked by magnitude:UserWarning")
def test_code_of_the_readme_runs(capsys, tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    blocks, names = run_blocks(README)
    plt.close("all")

    assert len(blocks) == 8
    assert names["mlp"].sparsity_ == pytest.approx(0.7, abs=1e-3)
    assert names["model"].score(names["X_test"], names["y_test"]) > 0.9
    assert set(names["search"].best_params_) == {"chaoscausalprunedmlp__prune_ratio"}
    printed = capsys.readouterr().out
    assert names["few"][-1].features_in_use_.sum() == 3
    assert "0.69" in printed  # ln 2
    assert "placebo_share" in printed
    assert "mean radius" in printed  # feature names reach the table
    assert (tmp_path / "network.npz").stat().st_size > 0
    assert (tmp_path / "network.onnx").stat().st_size > 0
    assert "network_predict(const float *x)" in (tmp_path / "network.h").read_text(
        encoding="utf-8"
    )
    assert names["path"].scores.shape == (3, 3)


@pytest.mark.slow
def test_code_of_the_exports_runs(tmp_path, monkeypatch):
    for package in "onnxruntime", "skl2onnx":
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    guide = (FOLDER / "docs" / "user_guide.md").read_text(encoding="utf-8")
    part = guide[guide.index("### On a micro") : guide.index("## Saving models")]
    (tmp_path / "part.md").write_text(part, encoding="utf-8")

    blocks, names = run_blocks(tmp_path / "part.md")

    assert len(blocks) == 3
    right = names["model"].predict_proba(names["people"])
    np.testing.assert_allclose(names["probabilities"], right, atol=1e-5)
    if COMPILERS:
        (code,) = re.findall(r"```c\n(.*?)```", part, flags=re.DOTALL)
        declared = code.replace("void report", "static void report")
        call = "int main(void) { float x[30] = {0}; report(x); return 0; }\n"
        (tmp_path / "main.c").write_text(declared + call, encoding="utf-8")
        compile_c(COMPILERS[0], "main.c", "main")
        printed = subprocess.run("./main", capture_output=True, text=True, check=True)
        assert re.fullmatch(r"[01], [01]\.\d+\n", printed.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["index", "getting_started"])
def test_code_of_the_documentation_runs(page):
    blocks, names = run_blocks(FOLDER / "docs" / f"{page}.md")

    assert blocks
    assert names["model"].score(names["X_test"], names["y_test"]) > 0.9


@pytest.mark.slow
def test_code_of_the_user_guide_loads_a_checkpoint(cancer, tmp_path, monkeypatch):
    guide = (FOLDER / "docs" / "user_guide.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    (block,) = [block for block in blocks if "checkpoint = Checkpoint(" in block]
    names = {
        "ChaosCausalPrunedMLP": skchaosprune.ChaosCausalPrunedMLP,
        "StandardScaler": StandardScaler,
        "make_pipeline": make_pipeline,
        "X_train": cancer[0],
        "y_train": cancer[1],
    }
    monkeypatch.chdir(tmp_path)
    exec(block, names)

    X = StandardScaler().fit_transform(cancer[0])
    expected = names["mlp"].predict_proba(X)
    np.testing.assert_allclose(names["network"].predict_proba(X), expected, atol=1e-12)


def test_the_reference_lists_every_public_name():
    reference = (FOLDER / "docs" / "api.rst").read_text(encoding="utf-8").split()
    for name in skchaosprune.__all__:
        assert name in reference
    for name, kind in CRITERIA.items():
        assert kind.__name__ in reference
        assert [word for word in reference if f'"{name}"' in word], name
