"""The files for Prometheus and Grafana name metrics that `kt exporter` has, and are well formed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kt.cli.care.metrics import FAMILIES, TIMES

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"

METRICS = {name + "_total" * family.grows for name, family in FAMILIES.items()}
METRICS |= {f"{TIMES}_{part}" for part in ("bucket", "count", "sum")}


@pytest.mark.parametrize("path", [DASHBOARD, ALERTS], ids=lambda path: path.name)
def test_metrics_exist(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if "expr" in line or "rate(" in line]
    used = set(re.findall(r"\bkt_\w+", "\n".join(lines)))
    assert len(used) > 4
    assert used <= METRICS


def test_dashboard_shows_every_measure() -> None:
    board = json.loads(DASHBOARD.read_text())
    shown = " ".join(each["expr"] for panel in board["panels"] for each in panel["targets"])
    assert {name for name in METRICS if name not in shown} == {"kt_info"}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len({panel["id"] for panel in board["panels"]}) == len(places)


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts(words: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (Debian: prometheus)")
    ran = subprocess.run(
        [promtool, *words], cwd=ALERTS.parent, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_page_says_what_to_do_about_each_alert() -> None:
    page = (DEPLOY.parent / "docs" / "monitoring.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(Kt\w+)` \|", page, re.MULTILINE)
    assert named == re.findall(r"- alert: (\w+)", ALERTS.read_text())
