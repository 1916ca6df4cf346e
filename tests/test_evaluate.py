import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from safetensors.numpy import save_file

from stages import evaluate
from stages.common import io, paths
from stages.common.io import InputError
from stages.common.parts import UNCODED
from stages.evaluation import calibration, classification
from stages.quantification.quantifiers import PrevalenceMLP, save_mlp
from tests.project import set_params

CODES = ["36.15", "401.9", "427.31", "428.0", "486", "96.04"]
DOCUMENTS = {"train": 60, "val": 30, "test": 25}
PLOTS = {
    f"{name}.csv"
    for name in ("bands", "classification", "codes", "prevalence", "quantification_sizes", "reliability", "selective")
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the stage reads, of a model that is not joint."""
    monkeypatch.chdir(tmp_path)
    set_params(quantifier__train_samples=30, quantifier__test_samples=20, evaluate__bootstrap=20)
    rng = np.random.default_rng(1)
    rows = []
    for part, count in DOCUMENTS.items():
        targets = rng.random((count, len(CODES))) < 0.3
        io.write_csr(paths.targets(part), sp.csr_array(targets.astype(np.uint8)))
        write_logits(part, 3.0 * targets - 2 + rng.standard_normal(targets.shape))
        patients = rng.integers(0, count // 2, count)
        rows += [{"part": part, "document_id": f"{part}{i}", "subject_id": str(p)} for i, p in enumerate(patients)]
    io.write_parquet(paths.LABEL_DOCUMENTS, pd.DataFrame(rows))
    io.write_json(paths.LABEL_CODES, CODES)
    kinds = ("procedure" if code in ("36.15", "96.04") else "diagnosis" for code in CODES)
    io.write_json(paths.CODES, {code: {"kind": kind, "titles": []} for code, kind in zip(CODES, kinds, strict=True)})
    io.write_json(paths.JOINT, {"joint": False})
    io.write_json(paths.GOLD, {})
    write_uncoded({})
    texts = [" ".join(["word"] * (row + 1)) for row in range(DOCUMENTS["test"])]
    io.write_parquet(paths.split("test"), pd.DataFrame({"text": texts}))
    paths.QUANTIFIER.mkdir()
    torch.manual_seed(0)
    save_mlp(PrevalenceMLP(len(CODES), 4), paths.QUANTIFIER)
    return tmp_path


def write_logits(part: str, logits: np.ndarray, folder: Path = paths.PREDICTIONS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokens = {"n_tokens": np.arange(1, 1 + len(logits)), "n_unknown": np.zeros(len(logits), int)}
    save_file({"logits": logits.astype(np.float32)} | tokens, paths.predictions(folder, part))


def write_uncoded(logits: dict[str, np.ndarray]) -> None:
    io.write_parquet(paths.split(UNCODED), pd.DataFrame({"document_id": pd.Series(list(logits), dtype=str)}))
    write_logits(UNCODED, np.stack(list(logits.values())) if logits else np.zeros((0, len(CODES))))


def written() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path("metrics").rglob("*")) if path.is_file()}


def test_metrics_and_plots(project: Path):
    evaluate.main()
    metrics = {path.stem: json.loads(path.read_text()) for path in Path("metrics").glob("*.json")}
    paper = metrics.pop("paper")
    assert {"accepted", "precision", "recall"} <= set(metrics.pop("selective")["test"])
    assert set(metrics) == {"classification", "calibration", "quantification"}
    assert all("test" in parts for parts in metrics.values())
    assert paper["f1_micro"] == round(100 * metrics["classification"]["test"]["f1_micro"], 2)
    assert paper["ae"] == round(100 * metrics["quantification"]["test"]["mlp"]["ae"], 2)
    assert len(paper) <= 12
    assert list(paths.SUBMISSION.iterdir()) == [paths.SUBMISSION / "files.json"]
    assert {path.name for path in paths.PLOTS.iterdir()} == PLOTS

    for part in ("val", "test"):
        read = evaluate.load_part(part, paths.PREDICTIONS, len(CODES))
        expected = classification.decision_metrics(read.targets, read.probabilities > 0.5)
        expected |= classification.ranking_metrics(read.targets, read.probabilities, [5, 8, 15])
        figures = pd.read_csv(paths.PLOTS / "classification.csv", index_col="figure")[part].to_dict()
        assert figures == pytest.approx(expected, rel=1e-5)
        mece = calibration.mece(read.targets, read.probabilities, 20)
        assert metrics["calibration"][part]["mece"] == pytest.approx(mece, rel=1e-5)
    assert metrics["classification"]["val"]["shared_threshold"]["threshold"] > 0
    test = metrics["classification"]["test"]
    assert set(test["intervals"]) == set(evaluate.SHOWN)
    shown = {name: expected[name] for name in evaluate.SHOWN}
    assert {name: test[name] for name in evaluate.SHOWN} == pytest.approx(shown, rel=1e-5)
    figures = [test, *(test[name] for name in ("shared_threshold", "code_thresholds", "present"))]
    figures += [metrics["calibration"]["test"][name] for name in ("temperature", "platt")]
    for measured in figures:
        assert all(low <= measured[name] <= high for name, (low, high) in measured["intervals"].items())


def test_codes_of_the_plots(project: Path):
    evaluate.main()
    metrics = {"classification": json.loads(paths.CLASSIFICATION.read_text())}

    table = pd.read_csv(paths.PLOTS / "codes.csv", dtype={"code": str})
    assert table.code.tolist() == CODES
    assert table.training_documents.tolist() == io.read_csr(paths.targets("train")).sum(axis=0).tolist()
    assert table.f1.mean() == pytest.approx(metrics["classification"]["test"]["f1_macro"], rel=1e-5)
    for name in PLOTS:
        assert len(pd.read_csv(paths.PLOTS / name)) > 0, name


def test_a_joint_model_is_evaluated_by_its_own_predictions(project: Path):
    evaluate.main()
    separate = json.loads(paths.CLASSIFICATION.read_text())
    io.write_json(paths.JOINT, {"joint": True})
    for part in ("val", "test"):
        write_logits(part, 20.0 * io.read_csr(paths.targets(part)).toarray() - 10, paths.JOINT_MODEL)
    write_logits(UNCODED, np.zeros((0, len(CODES))), paths.JOINT_MODEL)
    network = PrevalenceMLP(len(CODES), 4).state_dict()
    save_file({name: weight.numpy() for name, weight in network.items()}, paths.JOINT_MODEL / "quantifier.safetensors")
    evaluate.main()
    joint = json.loads(paths.CLASSIFICATION.read_text())
    assert joint["test"]["f1_micro"] == 1 > separate["test"]["f1_micro"]
    methods = json.loads(paths.QUANTIFICATION.read_text())["test"]
    assert {"mlp", "clq"} < set(methods)


def test_without_resamples_there_are_no_intervals(project: Path):
    set_params(evaluate__bootstrap=0)
    evaluate.main()
    assert json.loads(paths.CLASSIFICATION.read_text())["test"]["intervals"] == {}
    assert "intervals" not in json.loads(paths.QUANTIFICATION.read_text())["test"]["pcc"]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: path.unlink(), r"test\.safetensors does not exist; `dvc repro` makes it"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), r"test\.safetensors holds no predictions"),
        (lambda path: save_file({"other": np.zeros(3)}, path), r"test\.safetensors holds no predictions"),
        (lambda path: write_logits("test", np.zeros((25, 5))), r"logits of shape \(25, 5\) do not fit .* \(25, 6\)"),
        (
            lambda path: write_logits("test", np.full((25, 6), np.nan)),
            r"test\.safetensors: 150 logits are not finite.*dvc repro -f train_classifier",
        ),
    ],
)
def test_damaged_predictions_are_named_and_earlier_metrics_stay(project: Path, break_it, message):
    evaluate.main()
    before = written()
    break_it(paths.predictions(paths.PREDICTIONS, "test"))
    with pytest.raises(InputError, match=message):
        evaluate.main()
    assert written() == before


def test_codiesp_is_scored_against_all_gold_codes(project: Path):
    """Of each document's gold codes one more is outside of the label set, and one case has no other."""
    documents = pd.read_parquet(paths.LABEL_DOCUMENTS)
    gold = {}
    for part in ("val", "test"):
        targets = io.read_csr(paths.targets(part)).toarray()
        cases = documents.document_id[documents.part == part]
        gold[part] = {
            case: [*(code for code, carried in zip(CODES, row, strict=True) if carried), "Z99"]
            for case, row in zip(cases, targets, strict=True)
        } | {f"{part} unseen": ["Z99"]}
        write_logits(part, 20.0 * targets - 10)
    io.write_json(paths.GOLD, gold)
    # The test case without a code of the label set is given two of them; that of validation counts for neither.
    write_uncoded({"val unseen": np.full(len(CODES), 9.0), "test unseen": 10.0 - 20 * (np.arange(len(CODES)) > 1)})
    evaluate.main()
    result = json.loads(paths.CLASSIFICATION.read_text())["test"]["official"]
    n_gold = sum(len(codes) for codes in gold["test"].values())
    assert result["unreachable"] == pytest.approx(len(gold["test"]) / n_gold, rel=1e-5)
    assert result["precision"] == pytest.approx(
        (n_gold - len(gold["test"])) / (n_gold - len(gold["test"]) + 2), rel=1e-5
    )
    assert result["recall"] == pytest.approx(1 - result["unreachable"], rel=1e-5)
    perfect = [(len(codes) - 1) / len(codes) for codes in gold["test"].values()]
    assert result["map"] == pytest.approx(np.mean(perfect), rel=1e-5)
    written = (paths.SUBMISSION / "test_assigned.tsv").read_text().splitlines()
    assert len(written) == n_gold - len(gold["test"]) + 2


def scored(gold: dict[str, list[str]], predictions: str) -> tuple[float, float, float, float]:
    """MAP and micro precision, recall, F1 of a file of predictions, as METHOD.md, section 14, says of the script."""
    true = {case: {code.lower() for code in codes} for case, codes in gold.items()}
    ranked: dict[str, list[str]] = {case: [] for case in true}
    for line in predictions.splitlines():
        case, code = line.split("\t")
        if code.lower() not in ranked[case]:
            ranked[case].append(code.lower())
    total = 0.0
    for case, codes in true.items():
        places = [place for place, code in enumerate(ranked[case], 1) if code in codes]
        total += sum(rank / place for rank, place in enumerate(places, 1)) / len(codes)
    hits = sum(len(true[case] & set(ranked[case])) for case in true)
    precision, recall = hits / sum(map(len, ranked.values())), hits / sum(map(len, true.values()))
    return total / len(true), precision, recall, 2 * precision * recall / (precision + recall)


def test_the_submission_scores_as_the_metrics_say(project: Path):
    """Files of imperfect predictions, against gold codes of which some are in no label set and spelled in capitals."""
    documents = pd.read_parquet(paths.LABEL_DOCUMENTS)
    rng = np.random.default_rng(4)
    gold: dict[str, dict[str, list[str]]] = {}
    for part in ("val", "test"):
        cases = documents.document_id[documents.part == part]
        gold[part] = {case: ["Z99", *rng.choice(CODES, 2, replace=False)] for case in cases}
        write_logits(part, rng.normal(size=(len(cases), len(CODES))))
    io.write_json(paths.GOLD, gold)
    evaluate.main()
    for part in ("val", "test"):
        result = json.loads(paths.CLASSIFICATION.read_text())[part]["official"]
        whole = scored(gold[part], (paths.SUBMISSION / f"{part}_ranked.tsv").read_text())
        assert result["map"] == pytest.approx(whole[0], rel=1e-5)
        assigned = scored(gold[part], (paths.SUBMISSION / f"{part}_assigned.tsv").read_text())
        assert (result["precision"], result["recall"], result["f1"]) == pytest.approx(assigned[1:], rel=1e-5)
        low, high = result["intervals"]["f1"]
        assert low <= result["f1"] <= high


def test_a_code_of_every_validation_document_is_defined(project: Path):
    targets = io.read_csr(paths.targets("val")).toarray()
    targets[:, 0] = 1
    io.write_csr(paths.targets("val"), sp.csr_array(targets))
    evaluate.main()
    assert "nan" not in paths.QUANTIFICATION.read_text().lower()
