"""Fetch the published split files that data.subset needs, from the web or from where the user put them.

They are checked and copied to an output, so that later runs, such as queued experiments, need neither the network nor
untracked files. Other splits need no files.
"""

import logging
import shutil
from pathlib import Path

from stages.common import io, params, paths
from stages.common.runner import run
from stages.corpus import corpora, split_files

log = logging.getLogger("stages.fetch_splits")


def main() -> None:
    data = params.load().data
    _, subset = corpora.describe(data)
    names = [*subset.split_files, *filter(None, [subset.codes_file])] if data.split == "published" else []
    with io.whole_directory(paths.SPLIT_FILES) as folder:
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(split_files.fetch(Path(data.published_dir), name), folder / name)
        io.write_json(folder / "files.json", list(names))
    log.info("%d split files: %s", len(names), ", ".join(names) or f"data.split is {data.split}")


if __name__ == "__main__":
    run(main)
