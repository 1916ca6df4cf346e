"""What is refused in the first second, before DVC takes an output away."""

from pathlib import Path

import pytest

from stages import check_params
from stages.common import io, params, paths, workspace
from stages.common.io import InputError
from stages.corpus import corpora
from tests.project import git, set_params


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with the project's params.yaml and its small authored files."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    (tmp_path / "raw").mkdir()
    for folder in ("data/pools", "data/published"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "README.md").write_text("x")
    (tmp_path / "data/pools/authored.yaml").write_text("'486': {synonyms: [pneumonia]}\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  one:\n    cmd: echo\n    outs:\n      - made: {push: false}\n      - models/classifier\n"
    )
    set_params(data__raw_dir=str(tmp_path / "raw"))
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    return tmp_path


def test_the_projects_own_parameters_pass(repository: Path):
    check_params.main()
    names = {"settings.json", "encoder.json", "start_from.json", "evidence.json", "open.json"}
    assert {path.name for path in paths.CHECKED.iterdir()} == names
    assert io.read_json(paths.CHECKED / "encoder.json") == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"synonyms__M": 128}, r"synonyms\.M: 128 does not divide 64, the hidden size of the built-in encoder"),
        ({"synonyms__M": 3}, r"synonyms\.M: 3 does not divide 64"),
        ({"model__chunk_length": 33}, "chunk_length: 33 is odd"),
        ({"model__max_tokens": 20}, "max_tokens: 20 leaves no room for a chunk of 32"),
        ({"model__type": "LE", "model__window": 63}, "window: 63 is odd"),
        (
            {"model__type": "LE", "model__max_positions": 1000},
            "max_positions: 1000 is no multiple of the window of 1024",
        ),
        ({"model__chunk_length": 600, "model__max_tokens": 2000}, "600 is more than the 512 positions of the built-in"),
        ({"encoder__steps": 10**12}, "steps: 1000000000000 should be less than or equal to"),
        (
            {"data__subset": "diagnoses"},
            r"data\.subset: 'diagnoses' is not one of top50, full, clean, clean_raw .data\.format is mimic3",
        ),
        (
            {"data__format": "mimic5"},
            r"data\.format: 'mimic5' is not one of mimic3, mimic4, mimic4_icd, codiesp, table",
        ),
        ({"synonyms__pools": ["uml"]}, r"synonyms\.pools: 'uml' is not one of umls, wikipedia"),
        ({"open__codes": "icd10cm"}, "open.codes: 'icd10cm' should be null: only codiesp keeps"),
        ({"compute__threads": 100_000}, "threads: 100000 should be less than or equal to 256"),
        ({"model__type": "LE", "model__max_positions": 64_000_000_000}, "max_positions: 64000000000 should be less"),
        ({"train__learning_rate": float("inf")}, "train.learning_rate: inf should be a finite number"),
        ({"clq__lambda": float("inf")}, "clq.lambda: inf should be a finite number"),
        ({"clq__delta": float("nan")}, "clq.delta: nan should be"),
        ({"synonyms__pools": ["icd10cm"]}, "icd10cm describes ICD-10-CM codes; the corpus is coded in ICD-9-CM"),
        ({"synonyms__pools": ["umls"]}, "names umls, but .*icd_mimic3_random_sort.json is not a file"),
        ({"data__raw_dir": "~/mimic-iii"}, r"data\.raw_dir: ~/mimic-iii: `~` is not expanded here; write /"),
        ({"data__raw_dir": "/nowhere/mimic"}, r"data\.raw_dir: /nowhere/mimic does not exist; it should be the folder"),
        ({"data__raw_dir": "nowhere"}, "does not exist .a queued or temporary experiment has only what git and DVC"),
        ({"synonyms__pool_dir": "nowhere"}, r"synonyms\.pool_dir: nowhere does not exist"),
        ({"synonyms__pool_dir": "data/pools/README.md"}, "is not a file|is a file; it should be a folder"),
        ({"data__published_dir": "data/pools/README.md"}, r"data\.published_dir: .* is a file; it should be a folder"),
        (
            {"data__evidence_dir": "/nowhere/mdace"},
            r"data\.evidence_dir: /nowhere/mdace does not exist; it should be a",
        ),
        (
            {"data__format": "mimic4", "data__subset": "icd9", "data__evidence_dir": "/mdace"},
            r"'/mdace' should be null; only mimic3 \(ICD-9\), mimic4 \(ICD-10\), mimic4_icd \(ICD-10\) takes evidence",
        ),
        ({"synonyms__solver": "simplex"}, "'simplex' is not one of 'cp_sat'"),
        ({"encoder__dropout": 1.0}, r"encoder\.dropout: 1\.0 should be less than 1"),
        ({"data__raw_dir": " "}, r"data\.raw_dir: ' ' should be the folder of MIMIC-III's tables"),
        ({"train__start_from": "no-such-folder"}, r"train\.start_from: no-such-folder does not exist"),
        ({"train__start_from": "data/pools"}, "data/pools has no provenance.json: it is not a trained classifier"),
        ({"train__start_from": "models/classifier"}, "models/classifier is what the training itself writes"),
        ({"compute__launch": "torchrun-that-is-not-there"}, "begins with none of"),
        (
            {
                "data__format": "codiesp",
                "data__subset": "both",
                "data__split": "official",
                "open__codes": "no.json",
                "synonyms__pools": ["titles"],
            },
            r"open\.codes: no\.json does not exist",
        ),
    ],
)
def test_refused(repository: Path, change: dict, message: str):
    set_params(**change)
    with pytest.raises(InputError, match=message) as refused:
        check_params.main()
    assert "\n" not in str(refused.value)


def test_a_relative_folder_that_nobody_tracks_is_refused_with_the_line_to_type(repository: Path):
    (repository / "mimic").mkdir()
    (repository / "mimic" / "NOTEEVENTS.csv").write_text("x")
    set_params(data__raw_dir="mimic")
    with pytest.raises(InputError, match=r"type `dvc add mimic && git add mimic\.dvc`"):
        check_params.main()
    (repository / "mimic.dvc").write_text("outs:\n- md5: x\n  path: mimic\n")
    git("add", "mimic.dvc")
    check_params.main()


def test_one_file_in_a_tracked_folder_is_added_by_itself(repository: Path):
    (repository / ".gitignore").write_text("*.json\n")
    (repository / "data/pools/icd_mimic3_random_sort.json").write_text("{}")
    with pytest.raises(InputError, match=r"dvc add data/pools/icd_mimic3_random_sort\.json && git add "):
        check_params.main()
    (repository / "data/pools/.DS_Store").write_text("x")
    (repository / "data/pools/icd_mimic3_random_sort.json").unlink()
    check_params.main()


def test_what_lies_outside_has_an_absolute_path(repository: Path):
    (repository / "inner").mkdir()
    assert "give the absolute path, /" in workspace.remedy(Path("../elsewhere"), [Path("../elsewhere/x")])


def test_the_output_of_a_stage_need_not_be_there(repository: Path):
    set_params(data__raw_dir="made/mimic")
    check_params.main()


def test_hand_placed_split_files_are_decided_by_their_checksums(repository: Path):
    (repository / ".gitignore").write_text("*.csv\n")
    (repository / "data/published/train_50_hadm_ids.csv").write_text("1\n")
    set_params(data__split="published")
    check_params.main()


def test_the_fingerprint_follows_the_content_of_an_encoder(repository: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "config.json").write_text('{"hidden_size": 16}')
    set_params(encoder__source=str(folder))
    check_params.main()
    first = io.read_json(paths.CHECKED / "encoder.json")
    check_params.main()
    assert io.read_json(paths.CHECKED / "encoder.json") == first != {}
    (folder / "model.safetensors").write_text("trained further")
    check_params.main()
    assert io.read_json(paths.CHECKED / "encoder.json") != first
    set_params(encoder__source=str(folder), synonyms__M=3)
    with pytest.raises(InputError, match=f"M: 3 does not divide 16, the hidden size of {folder}"):
        check_params.main()


def test_evidence_that_changes_is_another_fingerprint(repository: Path, tmp_path: Path):
    """Of a folder of the user's own; the embedded corpus's is part of the corpus, and of no other."""
    folder = tmp_path / "mdace"
    folder.mkdir()
    (folder / "100-ICD-9.json").write_text("{}")
    seen = []
    for content in ("{}", "{ }"):
        (folder / "100-ICD-9.json").write_text(content)
        set_params(data__evidence_dir=str(folder))
        check_params.main()
        seen.append(io.read_json(paths.CHECKED / "evidence.json"))
    assert seen[0] != seen[1]
    set_params(data__evidence_dir="data/demo/mimic/evidence", data__raw_dir=str(tmp_path))
    assert corpora.evidence_folder(params.load().data) is None
    check_params.main()
    assert io.read_json(paths.CHECKED / "evidence.json") == {}
