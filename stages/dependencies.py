"""Write the code of each stage into the `deps:` of dvc.yaml: `python -m stages.dependencies`.

A stage reruns when a file that it depends on changes, so the lists hold exactly the code that it imports. Comments and
all other lines of dvc.yaml stay as they are.
"""

import logging
import re
from pathlib import Path

from stages.project.code import code_of_stage
from stages.project.files import whole_file
from stages.project.stage import run

log = logging.getLogger("stages.dependencies")

FILES = (Path("dvc.yaml"), Path("data/demo/dvc.yaml"))
STAGE = re.compile(r"  (\w+):\n")
CODE = re.compile(r"      - stages/\S+\.py\n")


def rewritten(text: str) -> str:
    """`text` of a dvc.yaml with the code of each stage behind its other dependencies."""
    lines: list[str] = []
    stage, inside = "", False
    for line in text.splitlines(keepends=True):
        if found := STAGE.fullmatch(line):
            stage = found[1]
        if inside and not line.startswith("      "):
            lines += [f"      - {file.as_posix()}\n" for file in code_of_stage(stage)]
            inside = False
        if line == "    deps:\n":
            inside = True
        if not (inside and CODE.fullmatch(line)):
            lines.append(line)
    return "".join(lines)


def main() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        changed = rewritten(text)
        if changed == text:
            log.info("%s is as the imports are", path)
            continue
        with whole_file(path) as partial:
            partial.write_text(changed, encoding="utf-8")
        log.info("%s is written anew; `dvc repro` runs the stages whose code is another", path)


if __name__ == "__main__":
    run(main)
