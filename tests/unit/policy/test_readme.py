"""The examples in policies/README.md are a policy and its cases, and they hold."""

from __future__ import annotations

import re
from pathlib import Path

from proxy.cli.cases import run_file
from proxy.policy.documents import load

AROUND = """\
version: 1
name: snippet
lists: {office: [192.0.2.0/24]}
roles:
  developer:
    login: permit
    upstream: reader
    rules:
      - {id: snippet, permit: {kinds: [lock]}}
"""
README = Path(__file__).parents[3] / "policies" / "README.md"


def test_the_examples_work(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    policy, *snippets, cases = blocks
    (tmp_path / "example.yaml").write_text(policy, encoding="utf-8")
    path = tmp_path / "example.cases.yaml"
    path.write_text(cases, encoding="utf-8")
    results = run_file(path)
    assert [each.failures for each in results] == [(), (), ()]
    for snippet in snippets:
        load(AROUND + snippet, source="snippet")
