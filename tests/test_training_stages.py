"""The stages that train and predict, on a corpus of made-up words: what they write, refuse, and leave behind."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from safetensors.torch import load, load_file

from stages import predict, score_open, train_classifier, train_joint
from stages.common import io, paths
from stages.common.io import InputError
from stages.common.parts import UNCODED
from stages.encoder.architecture import Architecture
from stages.modeling import warm_start
from stages.modeling.data import load_documents
from stages.modeling.model import load_model
from stages.open_codes.mix import FEATURES
from stages.open_codes.scoring import Choice, Fitted, scorer_of
from stages.quantification.quantifiers import PrevalenceMLP, save_mlp
from tests.models import write_model
from tests.project import ROOT, set_params

CODES = ["001", "002", "003"]
WORDS = [f"w{number}" for number in range(30)]
PART_SIZES = {"train": 21, "val": 7, "test": 6}
ARCHITECTURE = {
    "encoder": "CE",
    "head": "msam",
    "padding": "masked",
    "dropout": 0.0,
    "chunk_length": 8,
    "max_tokens": 40,
    "lowercase_documents": False,
}


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    """A folder with all that these stages read, as the present directory."""
    monkeypatch.chdir(tmp_path)
    set_params(train__epochs=2, train__batch_documents=4, train__chunk_budget=16, train__start_from=None)
    set_params(clq__epochs=2, clq__learning_rate=0.01, compute__threads=1, compute__device="cpu")
    rng = np.random.default_rng(5)
    for part, size in PART_SIZES.items():
        texts = [" ".join(rng.choice(WORDS, rng.integers(3, 30))) for _ in range(size)]
        codes = [[code for word, code in zip(WORDS, CODES, strict=False) if word in text.split()] for text in texts]
        ids = [f"{part}{number}" for number in range(size)]
        table = pd.DataFrame({"document_id": ids, "subject_id": ids, "text": texts, "codes": codes})
        io.write_parquet(paths.split(part), table)
        targets = np.array([[code in of_document for code in CODES] for of_document in codes], dtype=np.uint8)
        io.write_csr(paths.targets(part), sp.csr_array(targets))
        io.write_parquet(paths.split(UNCODED), table[:0])
    io.write_json(paths.LABEL_CODES, CODES)
    io.write_json(paths.CODES, {code: {"kind": "diagnosis", "titles": []} for code in [*CODES, "004"]})
    io.write_json(paths.ARCHITECTURE, ARCHITECTURE)
    io.write_json(paths.HEAD_SYNONYMS, {code: [WORDS[i], WORDS[i + 5]] for i, code in enumerate(CODES)})
    io.write_json(paths.JOINT, {"joint": False})
    io.write_json(paths.CORPUS, {"format": "mimic3", "subset": "top50"})
    # Small weights, as Adam takes whole steps along rounding errors where the gradient is 0 (of a key's bias).
    sizes = {"num_hidden_layers": 1, "max_position_embeddings": 64, "initializer_range": 0.02}
    write_model(paths.ENCODER, "Bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **sizes)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_classifier_and_predictions(workspace):
    train_classifier.main()
    predict.main()
    history = io.read_json(paths.CLASSIFIER / "history.json")
    curve = pd.read_csv(paths.PLOTS / "training.csv")
    assert list(curve.columns) == ["epoch", "train_loss", "val_f1_micro", "val_loss"]
    assert curve.to_dict("records") == history
    for part in ("val", "test"):
        logits = load_file(paths.predictions(paths.PREDICTIONS, part))["logits"]
        assert logits.shape == (PART_SIZES[part], len(CODES))
    targets = torch.from_numpy(io.read_csr(paths.targets("val")).toarray()).float()
    best = max(history, key=lambda row: row["val_f1_micro"])
    logits = load_file(paths.predictions(paths.PREDICTIONS, "val"))["logits"]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    assert loss.item() == pytest.approx(best["val_loss"], rel=1e-4)


def checkpoints_left() -> list[str]:
    """The runs that have checkpoints, and how many."""
    return [f"{len(list(run.glob('step-*')))} of {run.name}" for run in paths.CHECKPOINTS.iterdir() if run.is_dir()]


def test_the_next_training_removes_the_checkpoint_of_the_last(workspace):
    train_classifier.main()
    [first] = checkpoints_left()
    assert first.startswith("1 of ")
    set_params(train__seed=7)
    train_classifier.main()
    [second] = checkpoints_left()
    assert second != first


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bf16", 0.2)])
def test_a_gpu_learns_and_predicts_what_the_cpu_does(workspace, cuda, precision, tolerance):
    logits = {}
    for device, of_device in (("cpu", "float32"), (cuda, precision)):
        set_params(compute__device=device, compute__precision=of_device)
        for stage in ("train_classifier", "predict"):
            launch(stage)  # in a process of its own: accelerate keeps to the first device it met
        logits[device] = load_file(paths.predictions(paths.PREDICTIONS, "test"))["logits"]
    torch.testing.assert_close(logits[cuda], logits["cpu"], rtol=0, atol=tolerance)


SIZES = {"CE": {"chunk_length": 8, "max_tokens": 40}, "LE": {"window": 8, "max_positions": 32}}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["CE", "LE_MSAM"])
def test_bf16_learns_and_predicts_what_float32_does(workspace, kind):
    """On the CPU's own bfloat16 autocast, through training, prediction and joint training; logits take many values."""
    sizes = {name for sizes in SIZES.values() for name in sizes}
    parts = {name: value for name, value in ARCHITECTURE.items() if name not in sizes} | SIZES[kind[:2]]
    head = "msam" if "MSAM" in kind else "plain"
    io.write_json(paths.ARCHITECTURE, parts | {"encoder": kind[:2], "head": head})
    if "MSAM" not in kind:
        io.write_json(paths.HEAD_SYNONYMS, {})
    logits = {}
    for precision in ("float32", "bf16"):
        set_params(compute__precision=precision)
        for stage in ("train_classifier", "predict"):
            launch(stage)
        logits[precision] = load_file(paths.predictions(paths.PREDICTIONS, "test"))["logits"]
    assert logits["bf16"].dtype == torch.float32
    torch.testing.assert_close(logits["bf16"], logits["float32"], rtol=0, atol=0.2)
    assert len(logits["bf16"].unique()) == logits["bf16"].numel()


def test_same_inputs_same_bytes(workspace):
    train_classifier.main()
    first = content(paths.CLASSIFIER)
    train_classifier.main()
    assert content(paths.CLASSIFIER) == first


def test_start_from_a_folder(workspace, caplog):
    set_params(train__learning_rate=0.01)
    train_classifier.main()
    shutil.copytree(paths.CLASSIFIER, "earlier")
    set_params(train__start_from="earlier", train__learning_rate=1e-9, train__epochs=1)
    with caplog.at_level(logging.INFO):
        train_classifier.main()
    assert "starting from the classifier in earlier" in caplog.text
    earlier, later = (load_file(Path(folder) / "model.safetensors") for folder in ("earlier", paths.CLASSIFIER))
    for name in earlier:
        torch.testing.assert_close(later[name], earlier[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda: io.write_json(paths.CORPUS, {"format": "mimic3", "subset": "full"}), "another corpus or subset"),
        (lambda: io.write_json(paths.LABEL_CODES, [*CODES[:2], "004"]), "another list of codes"),
        (lambda: io.write_json(paths.HEAD_SYNONYMS, dict.fromkeys(CODES, WORDS[:2])), "other synonyms"),
        (lambda: swap_parts("train", "val"), "other documents"),
        (lambda: forget_a_word(), "another encoder or tokenizer"),
    ],
)
def test_start_from_refuses_what_does_not_fit(workspace, change, reason):
    io.write_json(Path("earlier") / paths.PROVENANCE, warm_start.provenance())
    change()
    with pytest.raises(InputError, match=rf"train\.start_from: .*{reason}"):
        warm_start.load_weights(torch.nn.Linear(1, 1), Path("earlier"))


def test_start_from_a_model_of_other_codes_where_the_head_is_msam(workspace):
    """What it has learned is reading words: every weight is taken, and the vectors are those of the present codes."""
    train_classifier.main()
    shutil.copytree(paths.CLASSIFIER, "earlier")
    io.write_json(paths.LABEL_CODES, CODES[:2])
    io.write_json(paths.HEAD_SYNONYMS, {code: [WORDS[i + 9], WORDS[i + 15]] for i, code in enumerate(CODES[:2])})
    architecture = Architecture.parse(io.read_json(paths.ARCHITECTURE))
    model = train_classifier.initial_model(architecture, 1, "cpu")
    vectors = model.head.Q.clone()
    warm_start.load_weights(model, Path("earlier"))
    assert torch.equal(model.head.Q, vectors) and len(vectors) == 2
    earlier = load_model(Path("earlier")).state_dict()
    assert all(torch.equal(weight, earlier[name]) for name, weight in model.state_dict().items() if name != "head.Q")


def swap_parts(first: str, second: str) -> None:
    paths.split(first).rename("swapped")
    paths.split(second).rename(paths.split(first))
    Path("swapped").rename(paths.split(second))


def forget_a_word() -> None:
    text = (paths.ENCODER / "tokenizer.json").read_text()
    (paths.ENCODER / "tokenizer.json").write_text(text.replace('"w59"', '"w60"'))


def test_an_empty_part_is_refused(workspace):
    table = pd.read_parquet(paths.split("val"))
    io.write_parquet(paths.split("val"), table[:0])
    with pytest.raises(InputError, match=r"val\.parquet has no document"):
        train_classifier.main()
    assert not paths.CLASSIFIER.exists()


def test_not_a_joint_model(workspace):
    train_joint.main()
    assert content(paths.JOINT_MODEL) == {"joint.json": b'{\n  "joint": false\n}\n'}


@pytest.fixture
def joint_workspace(workspace) -> torch.nn.Module:
    """The workspace with a trained classifier and a quantifier, which it gives, where a CLQ model is asked for."""
    train_classifier.main()
    torch.manual_seed(1)
    quantifier = PrevalenceMLP(len(CODES), 4)
    paths.QUANTIFIER.mkdir()
    save_mlp(quantifier, paths.QUANTIFIER)
    io.write_json(paths.JOINT, {"joint": True})
    return quantifier


def test_joint_training(joint_workspace):
    train_joint.main()
    written = content(paths.JOINT_MODEL)
    assert json.loads(written["joint.json"]) == {"joint": True, "processes": 1}
    assert {"model.safetensors", "quantifier.safetensors", "val.safetensors", "test.safetensors"} <= written.keys()
    assert set(io.read_json(paths.JOINT_MODEL / "history.json")[0]) == {
        *("epoch", "train_loss", "val_loss", "val_f1_micro", "val_mece")
    }
    for name, weight in load_file(paths.JOINT_MODEL / "quantifier.safetensors").items():
        assert not torch.equal(weight, joint_workspace.state_dict()[name])
    before, after = (load_file(folder / "model.safetensors") for folder in (paths.CLASSIFIER, paths.JOINT_MODEL))
    assert before.keys() == after.keys()
    assert not torch.equal(before["head.attention.W_Q.weight"], after["head.attention.W_Q.weight"])
    assert torch.equal(before["head.Q"], after["head.Q"])


def launch(stage: str, processes: int = 1) -> None:
    """Run a stage as so many processes, and see in its log that it was so many."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    command = [sys.executable, "-m", *(launcher if processes > 1 else []), f"stages.{stage}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"processes {processes}," in done.stderr


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(workspace):
    """Of 21 documents in steps of 4, the last step has one document, and so the second process none.

    Two processes of two threads each, with the parts of a pass side by side, against one of one.
    """
    launch("train_classifier")
    alone = load_file(paths.CLASSIFIER / "model.safetensors")
    history = io.read_json(paths.CLASSIFIER / "history.json")
    set_params(compute__threads=2)
    launch("train_classifier", processes=2)
    together = load_file(paths.CLASSIFIER / "model.safetensors")
    for name in alone:
        torch.testing.assert_close(together[name], alone[name], rtol=0, atol=1e-5)
    for one, two in zip(history, io.read_json(paths.CLASSIFIER / "history.json"), strict=True):
        assert two == pytest.approx(one, rel=1e-4)
    assert len(checkpoints_left()) == 1
    launch("predict")
    expected = load_file(paths.predictions(paths.PREDICTIONS, "test"))["logits"]
    launch("predict", processes=2)
    torch.testing.assert_close(load_file(paths.predictions(paths.PREDICTIONS, "test"))["logits"], expected)


@pytest.mark.slow
def test_two_processes_train_jointly(joint_workspace):
    """Each process has groups of its own: two learn the same every time, and without the groups what one learns."""

    def jointly(processes: int) -> dict[str, bytes]:
        shutil.rmtree(paths.JOINT_MODEL, ignore_errors=True)
        launch("train_joint", processes)
        return content(paths.JOINT_MODEL)

    def logits(written: dict[str, bytes]) -> torch.Tensor:
        return load(written["test.safetensors"])["logits"]

    alone, together = jointly(1), jointly(2)
    assert jointly(2) == together
    assert together.keys() == alone.keys()
    assert len(json.loads(together["history.json"])) == 2
    assert logits(together).isfinite().all()
    set_params(clq__lambda=0.0)
    torch.testing.assert_close(logits(jointly(2)), logits(jointly(1)), rtol=0, atol=1e-5)


CANDIDATES = {code: [WORDS[i], WORDS[i + 5]] for i, code in enumerate([*CODES, "004"])}


def test_open_codes_are_scored_by_their_words(workspace):
    """A code that is withheld; and one more of a file, which changes nothing of what was scored before."""
    for part in ("train", "val", "test"):
        table = pd.read_parquet(paths.split(part))
        codes = [[*row.codes, *(["004"] if "w3" in row.text.split() else [])] for row in table.itertuples()]
        io.write_parquet(paths.split(part), table.assign(codes=codes))
    io.write_json(paths.CANDIDATES, CANDIDATES)
    io.write_json(paths.OPEN_LABELS, {"withheld": ["004"], "choice": {"M": 2, "criterion": "MDP", "seed": 0}})
    io.write_json(paths.GOLD, {})
    train_classifier.main()
    predict.main()
    before = content(paths.PREDICTIONS)
    score_open.main()
    alone, fitted = io.read_json(paths.OPEN_CODES)["test"], Fitted.read(paths.OPEN)
    diagram = pd.read_csv(paths.OPEN_RELIABILITY)
    n_cells = diagram.groupby("kind")["cells"].sum()  # whole codes of each kind, over all test documents
    assert set(n_cells.index) == {"trained", "open"}
    assert (n_cells % alone["documents"] == 0).all()
    assert alone["documents"] == PART_SIZES["test"]
    assert alone["shortlist_recall"] == 1
    assert {"map", "f1", "auc_never", "auc_trained", "mece_open", "intervals"} <= alone["mix"].keys()
    assert fitted.counts.get("004") is None
    assert fitted.trained == {code: CANDIDATES[code] for code in CODES}
    Path("more.json").write_text('{"X": ["w20 w21"], "003": ["w1"]}')
    set_params(open__codes="more.json")
    score_open.main()
    assert io.read_json(paths.OPEN_CODES)["test"]["trained_codes"]["map"] == alone["trained_codes"]["map"]
    assert Fitted.read(paths.OPEN).trained == fitted.trained
    assert content(paths.PREDICTIONS) == before


def test_a_trained_code_scored_by_its_words_has_the_logit_that_it_was_trained_to(workspace):
    """MSAM has no weight that belongs to a code; in a call of their own the others' logits stay the same bits."""
    train_classifier.main()
    predict.main()
    model = load_model(paths.CLASSIFIER)
    documents = load_documents("test", paths.CLASSIFIER, model.architecture, targets=False)
    phrases = {code: CANDIDATES[code] for code in CODES}
    scorer = scorer_of(
        model, phrases, {f"open {code}": CANDIDATES[code] for code in CODES}, {}, Choice(2, "MDP", 1), paths.ENCODER
    )
    logits = load_file(paths.predictions(paths.PREDICTIONS, "test"))["logits"].numpy()
    texts = pd.read_parquet(paths.split("test"))["text"]
    for row in range(len(documents)):
        pairs = scorer.pairs(texts[row], documents.batch([row]), logits[row])
        trained, by_words = (pairs.features[:, FEATURES.index(f"logit_{kind}")] for kind in ("trained", "open"))
        np.testing.assert_allclose(by_words[3:], trained[:3], atol=2e-3)  # phrases are kept in half precision
        assert (trained[3:] == 0).all() and (by_words[:3] == 0).all()
        with torch.inference_mode():
            again = model(documents.batch([row]))[0].numpy()
        np.testing.assert_allclose(again, logits[row], atol=1e-5)


def test_nothing_open_is_nothing_done(workspace):
    io.write_json(paths.OPEN_LABELS, {"withheld": [], "choice": None})
    score_open.main()
    assert io.read_json(paths.OPEN_CODES) == {"test": {}}
    assert Fitted.read(paths.OPEN) is None
