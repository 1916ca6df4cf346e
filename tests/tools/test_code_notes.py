"""Notes from every source, coded by a small model and by its exported copy; and what is refused."""

import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from scipy.special import expit

from stages.common import io, paths
from stages.common.io import InputError
from stages.encoder.architecture import Architecture
from stages.evaluation.scored import Predictions
from stages.modeling.model import build_model, save_model
from stages.open_codes.mix import FEATURES, Mix
from stages.open_codes.scoring import Choice, Fitted
from stages.quantification.counting import Counting
from stages.quantification.quantifiers import PrevalenceMLP
from tests.project import set_params
from tools import code_notes, count_codes, export
from tools.notes import kit as kits

CODES = ["401.9", "486", "96.04"]
ARCHITECTURE = Architecture(encoder="CE", head="msam", padding="masked", chunk_length=12, max_tokens=40)
MARKER = "zyxmarker"


@pytest.fixture
def pipeline(bert_folder, tmp_path, monkeypatch) -> Path:
    """A folder with what the pipeline leaves that coding needs."""
    monkeypatch.chdir(tmp_path)
    set_params()
    torch.manual_seed(2)
    model = build_model(bert_folder, ARCHITECTURE, 3, [[f"w{i}", f"w{i} w{i + 9}"] for i in range(3)])
    paths.CLASSIFIER.mkdir(parents=True)
    save_model(model, paths.CLASSIFIER)
    io.write_json(paths.JOINT, {"joint": False})
    origin = {"format": "mimic3", "subset": "top50", "synthetic": True, "protected": False}
    titles = {code: {"kind": "diagnosis", "titles": [f"title of {code}"]} for code in CODES}
    io.write_json(paths.CLASSIFIER / "provenance.json", {"corpus": origin, "titles": titles})
    part = {"shared_threshold": {"threshold": 0.4}, "intervals": {"f1_micro": [0.1, 0.2]}}
    io.write_json(paths.CLASSIFICATION, {"val": part, "test": part})
    io.write_json(paths.CALIBRATION, {"test": {"temperature": {"temperature": 2.0}}})
    io.write_json(paths.PAPER, {"f1_micro": 15.0})
    promised = {
        "accept_above": 0.8,
        "leave_below": 0.3,
        "by_code": [],
        "accepted": 0.75,
        "precision": 0.96,
        "promised_precision": 0.95,
    }
    io.write_json(paths.SELECTIVE, {"test": promised})
    rng = np.random.default_rng(0)
    logits = rng.normal(-2, 3, (60, 3)).astype(np.float32)
    val = Predictions(sp.csr_array(rng.random((60, 3)) < expit(logits)), logits, np.arange(60))
    platt, tokens = np.array([np.ones(3), np.zeros(3)]), (rng.integers(3, 9, 60), np.zeros(60))
    counting = Counting.learn(val, {"mlp": PrevalenceMLP(3, 2)}, platt, tokens, np.full(3, 0.25), 20, 0)
    replace(counting, method="pacc").save(paths.COUNTING)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A tool called with arguments: `code_notes`, or another."""

    def run(*arguments: str, tool=code_notes) -> None:
        monkeypatch.setattr(sys, "argv", [tool.__name__, *arguments])
        tool.main()

    return run


def test_a_group_is_counted_without_its_text(pipeline, run, capsys):
    """By the pipeline's model and its exported copy alike; PCC is the mean of what `code_notes` says of each note."""
    pd.DataFrame({"text": [f"{MARKER} w1 w2", "w3 w4", "w5 w1"]}).to_csv("notes.csv", index=False)
    outputs = ["--json", "out.json", "--csv", "out.csv", "--html", "out.html"]
    run("notes.csv", *outputs, tool=count_codes)
    counted = json.loads(Path("out.json").read_text())
    assert counted["n_documents"] == 3 and counted["method"] == "pacc"
    assert all(code["low"] <= code["number"] <= code["high"] <= 3 for code in counted["codes"])
    assert [code["number"] for code in counted["codes"]] == sorted(pd.read_csv("out.csv").number, reverse=True)
    assert not any(MARKER in Path(name).read_text() for name in ("out.json", "out.csv", "out.html"))
    assert any("length of these documents is unlike" in warning for warning in counted["warnings"]) is False

    run("notes.csv", "--method", "pcc", "--json", "pcc.json", tool=count_codes)
    run("notes.csv", "--json", "coded.json", "--codes", "3")
    single = pd.DataFrame(json.loads(Path("coded.json").read_text())).groupby("code").probability.sum()
    for code in json.loads(Path("pcc.json").read_text())["codes"]:
        assert code["number"] == pytest.approx(single[code["code"]], abs=1e-4)

    run("kit", tool=export)
    run("notes.csv", "--model", "kit", "--json", "kit.json", tool=count_codes)
    assert json.loads(Path("kit.json").read_text()) == counted
    run("notes.csv", tool=count_codes)
    assert "title of 486" in capsys.readouterr().out


def test_long_notes_are_said_to_be_unlike(pipeline, run, caplog):
    pd.DataFrame({"text": ["w1 w2 w3 w4 w5 w6 w7 w8 w9 " * 3] * 20}).to_csv("notes.csv", index=False)
    run("notes.csv", tool=count_codes)
    assert "length of these documents is unlike the 60 validation documents'" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["notes.csv", "--method", "magic"], "--method magic: this model has lazy, cc, pcc, mlp, acc, pacc, emq"),
        (["gone.csv"], "gone.csv does not exist"),
        (["notes.csv", "--json", "notes.csv"], "is an input and would be overwritten"),
        (["--part", "test"], "test.safetensors does not exist"),
    ],
)
def test_what_is_not_counted(pipeline, run, arguments, message):
    pd.DataFrame({"text": ["w1"]}).to_csv("notes.csv", index=False)
    with pytest.raises(InputError, match=message):
        run(*arguments, tool=count_codes)
    assert pd.read_csv("notes.csv").text.tolist() == ["w1"]


def test_every_source_gives_the_same_codes(pipeline, run, capsys):
    texts = ["w1 w2 fever", "w3  w4\nw5"]
    for i, text in enumerate(texts):
        (pipeline / "notes").mkdir(exist_ok=True)
        (pipeline / "notes" / f"{i}.txt").write_text(text)
    pd.DataFrame({"id": ["0.txt", "1.txt"], "text": texts}).to_csv("notes.csv", index=False)
    Path("notes.jsonl").write_text(
        "".join(json.dumps({"id": f"{i}.txt", "text": t}) + "\n" for i, t in enumerate(texts))
    )
    result = []
    for source in ("notes", "notes.csv", "notes.jsonl"):
        run(source, "--json", "out.json")
        result.append(json.loads(Path("out.json").read_text()))
    assert result[0] == result[1] == result[2]
    assert {row["note"] for row in result[0]} == {"0.txt", "1.txt"}
    assert capsys.readouterr().out == ""
    run("notes", "--csv", "out.csv", "--html", "out.html")
    table = pd.read_csv("out.csv")
    assert table.probability.tolist() == pytest.approx([row["probability"] for row in result[0]])
    assert "title of 486" in Path("out.html").read_text()
    (pipeline / "notes" / "2\x1b[2J.txt").write_text("w1")  # clears a terminal
    run("notes")
    shown = capsys.readouterr().out
    assert "0.txt" in shown and "title of 401.9" in shown and "\x1b" not in shown


def test_a_code_without_a_title_takes_the_classification_s():
    """Where the corpus is coded in ICD-10; an older code that looks like one is another code."""
    titles = {"R50.9": [], "I10": ["own\x1b title"], "0FT44ZZ": []}
    assert kits.add_titles(titles, in_icd10=True) == {"R50.9": "Fever, unspecified", "I10": "own� title", "0FT44ZZ": ""}
    assert kits.add_titles({"E85.0": []}, in_icd10=False) == {"E85.0": ""}


def test_calibrated_and_assigned_by_hand(pipeline, run):
    Path("a.txt").write_text("w1 w2 fever")
    run("a.txt", "--json", "out.json")
    for row in json.loads(Path("out.json").read_text()):
        logit = np.log(row["probability"] / (1 - row["probability"]))
        assert row["calibrated"] == pytest.approx(1 / (1 + np.exp(-logit / 2)), abs=1e-6)
        assert row["assigned"] == (row["probability"] > 0.4)


def test_a_cut_text_says_how_much_was_read(pipeline, run, capsys):
    Path("a.txt").write_text("w1 " * 100)
    run("a.txt")
    assert "the first 31 of 102 tokens were read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "a.txt is empty"),
        ("a.txt", b" \n ", "a.txt is empty"),
        ("a.txt", b"zyxmarker \xff", "is not UTF-8 text"),
        ("a.txt", b"zyxmarker\0", "is not text"),
        ("a.csv", b"zyxmarker was seen,b\n1,2\n", "has no column text"),
        ("a.jsonl", b'{"text": 3, "id": "zyxmarker"}\n', "line 1: should be an object with the key text"),
        ("a.jsonl", b"{zyxmarker", "line 1: should be an object"),
        ("gone.txt", None, "gone.txt does not exist"),
    ],
)
def test_what_is_refused(pipeline, run, caplog, name, content, message):
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        run(name, "--json", "out.json")
    assert MARKER not in str(raised.value) + caplog.text
    assert not Path("out.json").exists()


def test_no_model_and_a_model_of_other_codes(pipeline, run):
    Path("a.txt").write_text("w1")
    path = paths.CLASSIFIER / "provenance.json"
    known = io.read_json(path)
    io.write_json(path, known | {"titles": {code: known["titles"][code] for code in CODES[:2]}})
    with pytest.raises(InputError, match="scores 3 codes, but lists 2"):
        run("a.txt")
    paths.CLASSIFIER.rename("elsewhere")
    with pytest.raises(InputError, match="there is no model yet; `dvc repro` trains one"):
        run("a.txt")
    with pytest.raises(InputError, match=r"has no kit\.json"):
        run("a.txt", "--model", "elsewhere")


def test_an_exported_folder_codes_the_same_to_the_last_bit(pipeline, run, tmp_path_factory):
    Path("a.txt").write_text("w1 w2 fever w9 w30 " * 5)
    run("a.txt", "--json", "out.json")
    run("exported", tool=export)
    card = Path("exported/README.md").read_text()
    assert "| f1_micro | 15.00 | 10.00 to 20.00 |" in card
    assert "no clinical use" in card
    assert "* Corpus: MIMIC-III top50, synthetic demo." in card
    moved = tmp_path_factory.mktemp("moved") / "model"
    Path("exported").rename(moved)
    expected = json.loads(Path("out.json").read_text())
    run("a.txt", "--model", str(moved), "--json", "again.json")
    assert json.loads(Path("again.json").read_text()) == expected


@pytest.fixture
def with_open_codes(pipeline, bert_folder) -> Path:
    """The pipeline's folder with the encoder, and a mix that knows similarity alone."""
    shutil.copytree(bert_folder, paths.ENCODER)
    weights = dict.fromkeys(FEATURES, 0.0) | {"similarity_3": 10.0}
    trained = {code: [f"w{i}"] for i, code in enumerate(CODES)}
    paths.OPEN.mkdir()
    Fitted(Mix(weights, -9.0, 0.6), Choice(2, "MDP", 1), trained, {}).write(paths.OPEN)
    Path("a.txt").write_text("w1 w2 fever w9 w30 " * 5)
    Path("more.yaml").write_text('"X1": w9 w30\n"486": [w7]\n')
    return pipeline


def test_codes_of_ones_own_stand_beside_the_trained_ones(with_open_codes, run, tmp_path_factory):
    run("a.txt", "--json", "out.json")
    run("a.txt", "--also", "more.yaml", "--json", "more.json", "--html", "more.html")
    plain, more = (json.loads(Path(name).read_text()) for name in ("out.json", "more.json"))
    assert [row for row in more if not row["open"]] == plain  # 486 is trained already
    [added] = [row for row in more if row["open"]]
    assert (added["code"], added["title"], added["assigned"]) == ("X1", "w9 w30", True)
    assert 0.6 < added["probability"] < 1 and added["words"]
    assert "open: scored by its words" in Path("more.html").read_text()
    moved = tmp_path_factory.mktemp("moved") / "model"
    run(str(moved), tool=export)
    run("a.txt", "--model", str(moved), "--also", "more.yaml", "--json", "again.json")
    assert json.loads(Path("again.json").read_text()) == more
    run(str(moved), "--without-open-codes", tool=export)
    with pytest.raises(InputError, match="unless it was left out"):
        run("a.txt", "--model", str(moved), "--also", "more.yaml")


def test_open_codes_that_the_model_cannot_score(pipeline, run):
    Path("a.txt").write_text("w1 w2 fever")
    Path("more.yaml").write_text("X1: w9 w30")
    with pytest.raises(InputError, match=r"set open\.codes or data\.withheld"):
        run("a.txt", "--also", "more.yaml")
    with pytest.raises(InputError, match="is an input and would be overwritten"):
        run("a.txt", "--also", "more.yaml", "--json", "more.yaml")


def test_weights_of_protected_records_need_a_word(pipeline, run):
    origin = {"format": "mimic3", "subset": "top50", "synthetic": False, "protected": True}
    path = paths.CLASSIFIER / "provenance.json"
    io.write_json(path, io.read_json(path) | {"corpus": origin})  # whatever params.yaml says by now
    with pytest.raises(InputError, match="--stays-where-the-data-may-be"):
        run("exported", tool=export)
    assert not Path("exported").exists()
    run("exported", "--stays-where-the-data-may-be", tool=export)
    assert "the weights stay where the data may be" in Path("exported/README.md").read_text()


def test_the_log_quotes_no_note(pipeline, run, caplog, capfd):
    Path("a.txt").write_text(f"{MARKER} w1")
    with caplog.at_level(logging.DEBUG):
        run("a.txt", "--json", "out.json")
    assert MARKER not in caplog.text + "".join(capfd.readouterr())


def test_cleaning_is_that_of_the_corpus():
    assert kits.cleaning_of({"format": "mimic3", "subset": "clean"}) == "words"
    assert kits.cleaning_of({"format": "mimic3", "subset": "top50"}) == "folded"
    assert kits.cleaning_of({"format": "mimic4", "subset": "icd10"}) == "words"
    assert kits.cleaning_of({"format": "codiesp", "subset": "both"}) == "folded"


def test_an_exported_folder_that_changed_is_refused(pipeline, run):
    """Each of its files: a byte flipped in the middle, cut short, or gone."""
    run("exported", tool=export)
    folder = Path("exported")
    assert kits.from_folder(folder).codes == CODES
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        half = len(content) // 2
        flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        for damaged in (flipped, content[:half], None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            if path.name == "README.md":
                assert kits.from_folder(folder).codes == CODES
            else:
                with pytest.raises(InputError):
                    kits.from_folder(folder)
            path.write_bytes(content)


def test_export_takes_no_folder_of_other_things(pipeline, run):
    """Neither a folder of the user's, nor an earlier export that the user has put something into."""
    for earlier in (False, True):
        if earlier:
            run("exported", tool=export)
            run("exported", tool=export)
        Path("exported").mkdir(exist_ok=True)
        Path("exported/thesis.txt").write_text("kept")
        with pytest.raises(InputError, match="1 other files, which would be lost"):
            run("exported", tool=export)
        assert Path("exported/thesis.txt").read_text() == "kept"
        Path("exported/thesis.txt").unlink()
    Path("exported/kit.json").write_text('{"files": 5}')  # a file of the user's
    with pytest.raises(InputError, match="would be lost"):
        run("exported", tool=export)


def test_no_output_takes_the_place_of_a_note_or_of_the_model(pipeline, run):
    Path("notes").mkdir()
    Path("notes/a.txt").write_text("w1")
    run("exported", tool=export)
    for output in ("notes/a.txt", "exported/kit.json", "exported"):
        with pytest.raises(InputError, match="is an input and would be overwritten"):
            run("notes", "--model", "exported", "--json", output)
    assert Path("notes/a.txt").read_text() == "w1"


def test_skipped_files_and_repeated_names_are_reported(pipeline, run, caplog):
    for folder in ("one", "two/deeper"):
        Path(folder).mkdir(parents=True)
    for name in ("one/a.txt", "two/C.TXT", "two/a.txt", "two/scan.pdf", "two/.hidden", "two/deeper/b.txt"):
        Path(name).write_text("w1")
    with caplog.at_level(logging.INFO):
        run("one", "two", "--json", "out.json")
    assert "two: skipping 2 files or folders that are not .txt" in caplog.text
    assert "one: " not in caplog.text
    assert "1 notes have the same name as another one" in caplog.text


@pytest.mark.parametrize("name", ["notes.json", "note.rtf", "page.html", "table.xlsx"])
def test_other_kinds_of_files_are_refused_by_name(pipeline, run, name):
    Path(name).write_text("{}")
    with pytest.raises(InputError, match=f"{name} is of an unsupported kind"):
        run(name)


def test_kinds_in_any_case_signs_and_special_tokens(pipeline, run, capsys):
    Path("A.TSV").write_text("id\ttext\tTEXT\n1\tfever \x1b[2J w1 [SEP] w2\tother\n")
    run("A.TSV")
    shown = capsys.readouterr().out
    assert shown.startswith("1\n") and "\x1b" not in shown
    kit = kits.from_pipeline()
    assert kit.tokenizer("w1 [SEP] w2")["input_ids"].count(kit.tokenizer.sep_token_id) == 1
