"""Fetch the published split files that data.subset needs, from the web or from where the user put them.

They are checked and copied into an output of their own, so that a later run, an experiment in a queue for one, needs
neither the network nor what lies outside of git and DVC. For other splits there is nothing to fetch.
"""

import logging
import shutil
from pathlib import Path

from stages.corpus import published
from stages.project import files, formats, params, paths
from stages.project.stage import run

log = logging.getLogger("stages.fetch_splits")


def main() -> None:
    data = params.load().data
    names = published.files_of(data.subset) if data.split == "published" else []
    with files.whole_directory(paths.SPLIT_FILES) as folder:
        for name in names:
            shutil.copyfile(published.fetch(Path(data.published_dir), name), folder / name)
        formats.write_json(folder / "files.json", names)
    log.info("%d split files: %s", len(names), ", ".join(names) or f"data.split is {data.split}")


if __name__ == "__main__":
    run(main)
