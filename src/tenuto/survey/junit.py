"""Reports as JUnit XML, which every CI shows: a suite an artifact, a case a file that failed, or one case if none did."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from tenuto.project.verify import Finding, VerifyReport

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Case(NamedTuple):
    """One test case: its name, and the kind of its failure with a text for people, if it failed."""

    name: str
    fault: str | None = None
    detail: str = ""


class Suite(NamedTuple):
    """A named group of cases."""

    name: str
    cases: Sequence[Case]


def verify_junit(report: VerifyReport) -> bytes:
    """A verification as JUnit XML."""
    suites = []
    for artifact in report.artifacts:
        cases = [
            Case(finding.path, finding.fault, _detail(finding))
            for finding in report.findings
            if finding.artifact == artifact.name
        ]
        suites.append(Suite(artifact.name, cases or [Case(f"{artifact.files} files are as locked ({report.mode})")]))
    return junit("tenuto verify", suites)


def _detail(finding: Finding) -> str:
    lines = [f"expected sha256 {finding.expected}", f"found    sha256 {finding.found}" if finding.found else ""]
    return "\n".join(line for line in (finding.detail or "", *lines) if line)


def junit(name: str, suites: Iterable[Suite]) -> bytes:
    """The XML document; characters that XML cannot hold are written as escapes."""
    root = ElementTree.Element("testsuites", name=name)
    total = failed = 0
    for suite in suites:
        failures = sum(case.fault is not None for case in suite.cases)
        total, failed = total + len(suite.cases), failed + failures
        counts = {"name": _plain(suite.name), "tests": str(len(suite.cases)), "failures": str(failures), "errors": "0"}
        element = ElementTree.SubElement(root, "testsuite", counts)
        for case in suite.cases:
            _add_case(element, suite, case)
    root.attrib.update(tests=str(total), failures=str(failed), errors="0")
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add_case(parent: ElementTree.Element, suite: Suite, case: Case) -> None:
    element = ElementTree.SubElement(parent, "testcase", classname=_plain(suite.name), name=_plain(case.name))
    if case.fault is not None:
        failure = ElementTree.SubElement(
            element, "failure", type=case.fault, message=f"{case.fault}: {_plain(case.name)}"
        )
        failure.text = _plain(case.detail)


def _plain(text: str) -> str:
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
