# SPDX-License-Identifier: GPL-2.0-only
"""docs/ci/: templates for CI systems. Nobody runs them here, so they are read strictly."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rig.cli import run

yaml = pytest.importorskip("yaml", reason="pyyaml is not installed: ./bootstrap test")
CI = Path(__file__).parents[2] / "docs" / "ci"
GITHUB, GITLAB = CI / "github-actions.yml", CI / "gitlab-ci.yml"
KEYWORDS = {"stages", "default", "variables"}
"""Keys of a GitLab file that are no jobs."""
JOB = {"stage", "timeout", "rules", "parallel", "cache", "script", "after_script", "artifacts",
       "resource_group"}  # fmt: skip
GITHUB_JOB = {"if", "runs-on", "timeout-minutes", "strategy", "steps", "concurrency"}
STEP = {"name", "uses", "with", "run", "if", "env"}


def load(path: Path) -> dict[str, Any]:
    """The document; a key that is there twice is an error."""
    document = yaml.load(path.read_text(), Loader=Strict)
    assert isinstance(document, dict)
    return document


class Strict(yaml.SafeLoader):  # type: ignore[name-defined, misc]
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len({*keys}) == len(keys), f"a key is there twice: {keys}"
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


def scripts(path: Path) -> Iterator[str]:
    """Every shell script in a template."""
    document = load(path)
    if path == GITHUB:
        for job in document["jobs"].values():
            yield from (step["run"] for step in job["steps"] if "run" in step)
        return
    yield "\n".join(document["default"]["before_script"])
    for name, job in document.items():
        if name not in KEYWORDS:
            yield "\n".join(job["script"])
            yield "\n".join(job["after_script"])


def test_a_github_workflow_has_its_form() -> None:
    document = load(GITHUB)
    # YAML 1.1 takes the key `on` for true.
    assert set(document) == {"name", True, "permissions", "env", "jobs"}
    assert document[True]["schedule"][0]["cron"].count(" ") == 4
    for job in document["jobs"].values():
        assert set(job) <= GITHUB_JOB
        assert {"runs-on", "steps", "timeout-minutes"} <= set(job)
        for step in job["steps"]:
            assert set(step) <= STEP
            assert ("run" in step) != ("uses" in step)
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/x@v1"))


def test_a_github_workflow_names_what_it_has() -> None:
    document, text = load(GITHUB), GITHUB.read_text()
    for expression in re.findall(r"\$\{\{ (.*?) \}\}", text):
        assert re.fullmatch(r"(vars|matrix|github)\.\w+", expression), expression
    axes = set(document["jobs"]["revision"]["strategy"]["matrix"])
    assert set(re.findall(r"matrix\.(\w+)", text)) == axes
    assert {"RIG_REPOSITORY", "SERIES", "NIGHT"} == set(re.findall(r"vars\.(\w+)", text))
    for job in document["jobs"].values():
        for step in job["steps"]:
            # An expression in a script would be shell code of whoever chooses its value.
            assert "${{" not in step.get("run", "")


def test_a_gitlab_pipeline_has_its_form() -> None:
    document = load(GITLAB)
    jobs = {name: job for name, job in document.items() if name not in KEYWORDS}
    assert set(jobs) == {"revision", "nightly"}
    for job in jobs.values():
        assert set(job) <= JOB
        assert job["stage"] in document["stages"]
        assert all(isinstance(line, str) for line in (*job["script"], *job["after_script"]))


@pytest.mark.parametrize("path", [GITHUB, GITLAB], ids=lambda path: path.stem)
def test_the_scripts_are_sound(path: Path) -> None:
    for script in scripts(path):
        checked = subprocess.run(
            ["shellcheck", "--shell=bash", "-"],
            input=script,
            text=True,
            stdout=subprocess.PIPE,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", [GITHUB, GITLAB], ids=lambda path: path.stem)
def test_both_jobs_call_what_the_rig_has(path: Path) -> None:
    program: Any = typer.main.get_command(run.app)
    verbs = {*program.commands, "nightly"}
    called = [words.split() for script in scripts(path)
              for words in re.findall(r"venv/bin/rig ([^\n|]+)", script)]  # fmt: skip
    assert {"doctor", "nightly", "site", "history", "report"} == {words[0] for words in called}
    for verb, *words in called:
        assert verb in verbs
        if verb in program.commands:
            known = {flag for option in program.commands[verb].params for flag in option.opts}
            assert {word for word in words if word.startswith("--")} <= known, verb
    (tested,) = (script for script in scripts(path) if "venv/bin/pytest" in script)
    flags = set(re.findall(r"--[a-z]+", tested))
    assert flags == {"--pyargs", "--series", "--revision", "--arch", "--junitxml"}
    plugin = (Path(run.__file__).parents[1] / "pytest_plugin.py").read_text()
    assert '"--series"' in plugin
    assert '"--revision"' in plugin
