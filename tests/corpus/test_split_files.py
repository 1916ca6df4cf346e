import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import yaml

from stages.common.io import InputError
from stages.corpus import split_files
from stages.corpus.corpora import CORPORA

TOP50, FULL, CLEAN = (CORPORA["mimic3"].subsets[name].split_files for name in ("top50", "full", "clean"))
IDS = {"train_50_hadm_ids.csv": "11\n12\n", "dev_50_hadm_ids.csv": "21\r\n", "test_50_hadm_ids.csv": "31"}


@pytest.fixture
def id_folder(tmp_path: Path) -> Path:
    """A folder of the user's, without pins."""
    for name, content in IDS.items():
        (tmp_path / name).write_bytes(content.encode())
    return tmp_path


def clean_file(folder: Path, admissions: list, parts: list[str]) -> Path:
    pd.DataFrame({"_id": admissions, "split": parts}).to_feather(folder / CLEAN[0])
    return folder


def test_id_files(id_folder: Path):
    assert split_files.load(id_folder, TOP50) == {"11": "train", "12": "train", "21": "val", "31": "test"}


def test_clean_file(tmp_path: Path):
    clean_file(tmp_path, [7, 8, 9], ["train", "val", "test"])
    assert split_files.load(tmp_path, CLEAN) == {"7": "train", "8": "val", "9": "test"}


def test_bad_files(id_folder: Path):
    with pytest.raises(InputError, match=r"train_full_hadm_ids\.csv does not exist"):
        split_files.load(id_folder, FULL)
    (id_folder / "dev_50_hadm_ids.csv").write_text("21\nx\n")
    with pytest.raises(InputError, match=r"dev_50_hadm_ids\.csv, line 2"):
        split_files.load(id_folder, TOP50)
    (id_folder / "dev_50_hadm_ids.csv").write_text("12\n")
    with pytest.raises(InputError, match="admission 12 is in two parts, train and val"):
        split_files.load(id_folder, TOP50)


def test_bad_clean_files(tmp_path: Path):
    with pytest.raises(InputError, match="admission 8 should be train, val or test"):
        split_files.load(clean_file(tmp_path, [7, 8], ["train", "dev"]), CLEAN)
    for bad in ({"id": [1], "split": ["val"]}, {"_id": ["x"], "split": ["val"]}):
        pd.DataFrame(bad).to_feather(tmp_path / CLEAN[0])
        with pytest.raises(InputError, match="should be a feather file with the columns _id"):
            split_files.load(tmp_path, CLEAN)
    (tmp_path / CLEAN[0]).write_bytes(b"no feather")
    with pytest.raises(InputError, match="should be a feather file"):
        split_files.load(tmp_path, CLEAN)


@pytest.fixture
def pinned(id_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with pins alone; the files they pin are served from another."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=id_folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("published")
    pins = {
        name: {"url": f"http://127.0.0.1:{server.server_port}/{name}", "md5": hashlib.md5(content.encode()).hexdigest()}
        for name, content in IDS.items()
    }
    (folder / split_files.PINS).write_text(yaml.safe_dump(pins))
    yield folder
    server.shutdown()


def test_pinned_files_are_downloaded_once_and_checked(pinned: Path, id_folder: Path):
    name = "test_50_hadm_ids.csv"
    path = split_files.fetch(pinned, name)
    assert path.read_bytes() == (id_folder / name).read_bytes()
    (id_folder / name).unlink()
    assert split_files.fetch(pinned, name) == path
    path.write_text("32\n")
    result, expected = (hashlib.md5(content).hexdigest() for content in (b"32\n", b"31"))
    with pytest.raises(InputError, match=rf"{name}: its md5 is {result}, but should be {expected}"):
        split_files.fetch(pinned, name)


def test_a_download_with_another_content_is_refused(pinned: Path, id_folder: Path):
    (id_folder / "dev_50_hadm_ids.csv").write_text("22\n")
    with pytest.raises(InputError, match=r"dev_50_hadm_ids\.csv: its md5 is"):
        split_files.fetch(pinned, "dev_50_hadm_ids.csv")
    assert [path.name for path in pinned.iterdir()] == [split_files.PINS]


def test_a_failed_download_says_what_to_do(pinned: Path, id_folder: Path):
    (id_folder / "train_50_hadm_ids.csv").unlink()
    with pytest.raises(InputError, match=r"could not download it from http.*data\.published_dir") as raised:
        split_files.fetch(pinned, "train_50_hadm_ids.csv")
    assert "\n" not in str(raised.value)


def test_the_pins_of_the_repository(pytestconfig: pytest.Config):
    pins = yaml.safe_load((pytestconfig.rootpath / "data/published/pins.yaml").read_text())
    assert set(pins) == {
        name
        for corpus in CORPORA.values()
        for subset in corpus.subsets.values()
        for name in (*subset.split_files, *filter(None, [subset.codes_file]))
    }
    for name, pin in pins.items():
        *_, commit, path = pin["url"].removeprefix("https://raw.githubusercontent.com/").split("/", 3)
        assert len(commit) == 40
        assert path.endswith(f"/{name}")
        assert len(bytes.fromhex(pin["md5"])) == 16
