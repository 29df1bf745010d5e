"""infra/focus/validate.py: what it makes of the validator's words; it runs itself with `make focus-validate`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "infra" / "focus" / "validate.py"
SAID = """
=== Validation Results ===
Total: 578 | Pass: 365 | Fail: 3 | Skipped: 210
⏭️ NullHandling-A-000-M: SKIPPED  (violations=0, reason=Rule skipped, msg=Rule skipped)
❌ InvoiceId-C-005-C: FAIL  (violations=3, msg=InvoiceId MUST NOT be NULL., 10.6ms)
❌ RegionId-C-000-C: FAIL  (violations=1, msg=RegionId-C-000-C: AND failed - failed child rules: [RegionId-C-001-C])
❌ RegionId-C-001-C: FAIL  (violations=1, msg=RegionId MUST be of type STRING., 8.1ms)
✅ Tags-C-001-M: PASS  (violations=0, 2.0ms)
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("focus_validate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["focus_validate"] = module
    spec.loader.exec_module(module)
    return module


def test_a_rule_that_fails_without_a_written_exception_fails_the_command(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = script.read_outcome(SAID)
    assert (outcome.total, outcome.passed, outcome.failed, outcome.skipped) == (578, 365, 3, 210)
    assert set(outcome.failures) == {"InvoiceId-C-005-C", "RegionId-C-001-C"}
    assert script.report(outcome, {"InvoiceId-C-005-C"}, 9) == 1
    assert "NOT in docs/focus.md: RegionId-C-001-C" in capsys.readouterr().out
    assert script.report(outcome, {"InvoiceId-C-005-C", "RegionId-C-001-C"}, 9) == 0


def test_words_without_a_result_are_no_result(script: ModuleType) -> None:
    assert script.read_outcome("Traceback: no module named focus_validator") is None


def test_every_written_exception_names_a_column_and_a_reason(script: ModuleType) -> None:
    text = script.EXCEPTIONS.read_text(encoding="utf-8")
    rules = script._EXCEPTION.findall(text)
    assert len(rules) == len(set(rules)) > 0
    model = (SCRIPT.parents[2] / "warehouse/models/focus/cost_and_usage.sql").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("| `"):
            rule, wanted, reason = (cell.strip() for cell in line.strip("|").split("|"))
            assert f"AS {rule.strip('`').split('-')[0]}," in model
            assert wanted
            assert reason
