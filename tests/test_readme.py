"""The README's code runs, in its order, as a reader would run it."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.filterwarnings("ignore:The weights are ranked by magnitude:UserWarning")
def test_code_of_the_readme_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    names = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)

    assert len(blocks) == 5
    assert names["mlp"].sparsity_ == pytest.approx(0.7, abs=1e-3)
    assert (
        names["mlp"].score(names["scaler"].transform(names["X_test"]), names["y_test"])
        > 0.9
    )
    assert set(names["search"].best_params_) == {"chaoscausalprunedmlp__prune_ratio"}
    printed = capsys.readouterr().out
    assert "0.69" in printed  # ln 2
    assert "placebo_share" in printed
    assert "mean radius" in printed  # feature names reach the table
