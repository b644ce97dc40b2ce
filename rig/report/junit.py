# SPDX-License-Identifier: GPL-2.0-only
"""JUnit XML for CI systems: a testsuite for each machine and suite."""

from collections.abc import Sequence
from xml.etree import ElementTree as xml

from rig import printable
from rig.campaigns.results import RunResult
from rig.report import blame, text
from rig.verdict.rules import CaseResult, Outcome

# INCONCLUSIVE is neither passed nor skipped; "error" is the nearest that JUnit has.
ELEMENT = {
    Outcome.FAIL: "failure",
    Outcome.BROKEN: "error",
    Outcome.INCONCLUSIVE: "error",
    Outcome.SKIP: "skipped",
}


def render(results: Sequence[RunResult]) -> bytes:
    """The document. XML 1.0 cannot hold control characters: https://www.w3.org/TR/xml/#charsets"""
    root = xml.Element("testsuites", name=results[0].provenance.label if results else "")
    several = len(text.labels(results)) > 1
    for result in results:
        where = result.machine.where.replace("/", ".")
        if several:
            where += f".{result.provenance.subject.part}"
        for suite in result.suites:
            name = f"{suite.suite}.{where}"
            blames = (blame.of_case(result, f"{suite.suite}/{case.name}") for case in suite.cases)
            _suite(root, name, tuple(map(blame.counted, suite.cases, blames)))
        # The verdict is a testcase of its own: a build, a boot or a splat has no other.
        verdict = result.verdict
        verdict_case = CaseResult(
            name="verdict", outcome=verdict.outcome, reason=verdict.reason, seconds=result.seconds
        )
        detail = "\n".join(
            [
                *(" " * (indent - 4) + line for indent, line in blame.lines(result)),
                result.detail,
                *(line for splat in result.splats for line in splat.text),
            ]
        )
        _suite(root, f"rig.{where}", (verdict_case,), detail)
    for element in root.iter():
        element.attrib = {name: printable.text(value) for name, value in element.attrib.items()}
        element.text = printable.text(element.text or "")
    xml.indent(root)
    return bytes(xml.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _suite(root: xml.Element, name: str, cases: Sequence[CaseResult], detail: str = "") -> None:
    counts = [case.outcome for case in cases]
    element = xml.SubElement(
        root,
        "testsuite",
        name=name,
        tests=str(len(cases)),
        failures=str(counts.count(Outcome.FAIL)),
        errors=str(counts.count(Outcome.BROKEN) + counts.count(Outcome.INCONCLUSIVE)),
        skipped=str(counts.count(Outcome.SKIP)),
        time=f"{sum(case.seconds for case in cases):.2f}",
    )
    for case in cases:
        item = xml.SubElement(
            element, "testcase", classname=name, name=case.name, time=f"{case.seconds:.2f}"
        )
        if tag := ELEMENT.get(case.outcome):
            problem = xml.SubElement(item, tag, message=f"{case.outcome}: {case.reason}")
            problem.text = "\n".join([*case.evidence, detail]).strip()
        counters = "\n".join(f"{counter} {value}" for counter, value in case.counters)
        xml.SubElement(item, "system-out").text = counters
