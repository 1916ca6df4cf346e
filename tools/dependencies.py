"""Write the code of each stage into the `deps:` of dvc.yaml: `python -m tools.dependencies`.

A stage reruns when a file that it depends on changes, so these lists hold exactly the code it imports. All other lines
of dvc.yaml are left unchanged.
"""

import logging
import re
from pathlib import Path

from stages.common import io
from stages.common.code import code_of_stage
from stages.common.runner import run

log = logging.getLogger("tools.dependencies")

FILES = (Path("dvc.yaml"), Path("data/demo/dvc.yaml"))
STAGE = re.compile(r"  (\w+):\n")
MARK = "      # code, written by `python -m tools.dependencies`\n"
CODE = re.compile(r"      - stages/\S+\.py\n")


def rewrite(text: str) -> str:
    lines: list[str] = []
    stage, inside = "", False
    for line in text.splitlines(keepends=True):
        if match := STAGE.fullmatch(line):
            stage = match[1]
        if inside and not line.startswith("      "):
            lines += [MARK, *(f"      - {file.as_posix()}\n" for file in code_of_stage(stage))]
            inside = False
        if line == "    deps:\n":
            inside = True
        if not (inside and (CODE.fullmatch(line) or line == MARK)):
            lines.append(line)
    return "".join(lines)


def main() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        changed = rewrite(text)
        if changed == text:
            log.info("%s agrees with the imports", path)
            continue
        io.write_text(path, changed)
        log.info("%s is rewritten; `dvc repro` runs the stages whose code changed", path)


if __name__ == "__main__":
    run(main)
