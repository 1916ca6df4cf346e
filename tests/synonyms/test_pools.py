import hashlib
import json
import logging

import pytest

from stages.common.io import InputError
from stages.synonyms import pools
from stages.synonyms.pools import normalise, normalise_all


def test_an_umls_file_is_read_and_a_changed_one_warned_of(tmp_path, caplog):
    content = {"401.9": ["hypertension", "high blood pressure"]}
    path = tmp_path / "icd_mimic3_random_sort.json"
    path.write_text(json.dumps(content))
    assert pools.read_pool("umls", tmp_path) == content
    [record] = caplog.records
    data = path.read_bytes()
    result = hashlib.sha1(b"blob " + str(len(data)).encode() + b"\0" + data).hexdigest()
    assert "ed30f4093b793961244c6542d006e9f8d38d1eaf" in record.getMessage()
    assert result in record.getMessage()


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"names wikipedia, but .*labels_descriptions_wikipedia.txt is not a file"):
        pools.read_pool("wikipedia", tmp_path)
    (tmp_path / "authored.yaml").mkdir()
    with pytest.raises(InputError, match=r"names authored, but .*authored.yaml is not a file"):
        pools.read_pool("authored", tmp_path)


def test_codes_of_a_pool_are_read_in_any_spelling(caplog):
    caplog.set_level(logging.INFO)
    pool = {
        "4019": ["a"],
        "3893": ["b"],
        "v5861": ["c"],
        "38.91": ["d"],
        "3.891": ["e"],
        "E849.0": ["f"],
        "I10.": ["g"],
    }
    result = pools.match_codes("umls", pool, ["401.9", "38.93", "V58.61", "38.91", "I10", "486"])
    assert result == {"401.9": ["a"], "38.93": ["b"], "V58.61": ["c"], "38.91": ["d"], "I10": ["g"]}
    assert [record.getMessage() for record in caplog.records] == ["pool umls: covers 5 of 6 codes"]


def test_a_spelling_that_two_codes_share_counts_only_with_its_dot(caplog):
    assert pools.match_codes("umls", {"4019": ["a"], "40.19": ["b"]}, ["401.9", "40.19"]) == {"40.19": ["b"]}
    assert "1 codes without a dot could be two" in caplog.text


def test_few_codes_covered_are_warned_of(caplog):
    pools.match_codes("umls", {"4019": ["a"]}, ["401.9", "486", "496"])
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize(
    "name,content,message",
    [
        ("icd_mimic3_random_sort.json", b'{"401.9": ["hyper', "not valid JSON"),
        ("icd_mimic3_random_sort.json", b'["401.9"]', "mapping from codes"),
        ("icd_mimic3_random_sort.json", b'{"401.9": "hypertension"}', "code 401.9 should have a list of strings"),
        ("icd_mimic3_random_sort.json", b"\xff\xfe", "not UTF-8"),
        ("labels_descriptions_wikipedia.txt", b"one line\ntwo lines\n", "has 2 lines; the published file has 50"),
        ("authored.yaml", b"'401.9': {synonyms: [a, b]\n", "not valid YAML"),
        ("authored.yaml", b"401.9: {synonyms: [a, b]}\n", "401.9 is not a string; put it in quotes"),
        ("authored.yaml", b"'401.9': [a, b]\n", "with the key synonyms"),
        ("authored.yaml", b"'401.9': {synonyms: [1, 2]}\n", "code 401.9 should have a list of strings"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    pool = next(pool for pool, known in pools.POOLS.items() if known.parse and known.names(9)[0] == name)
    with pytest.raises(InputError, match=message) as refused:
        pools.read_pool(pool, tmp_path)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_lines_of_the_wikipedia_file_belong_to_diagnoses_then_procedures(tmp_path):
    (tmp_path / "labels_descriptions_wikipedia.txt").write_text(
        "".join(f"first of {i} </s> second of {i}\n" for i in range(50))
    )
    pool = pools.read_pool("wikipedia", tmp_path)
    assert len(pool) == 50
    assert [phrase.strip() for phrase in pool["038.9"]] == ["first of 0", "second of 0"]
    assert pool["V58.61"][0].strip() == "first of 32"
    assert pool["33.24"][0].strip() == "first of 33"
    assert pool["99.15"][0].strip() == "first of 49"
    assert pool["96.04"][0].strip() == "first of 44"


def test_titles_stand_in_for_what_umls_lacks():
    codes = {"1": {"titles": ["Acute X"]}, "2": {"titles": ["Chronic Y", "Chr Y"]}, "3": {"titles": []}}
    assert pools.titles_pool(codes) == {"1": ["acute x"], "2": ["chronic y", "chr y"], "3": []}
    assert pools.titles_pool(codes, lacking={"1": ["x"]}) == {"2": ["chronic y", "chr y"], "3": []}


def test_without_shared():
    pool = {"1": ["a", "b", "shared"], "2": ["shared", "c"], "3": ["d", "b of 4"]}
    assert pools.drop_shared(pool) == {"1": ["a", "b"], "2": ["c"], "3": ["d", "b of 4"]}
    # A phrase that the code has in both pools is its own; one that another code has there is not.
    assert pools.drop_shared(pool, {"1": ["a"], "2": ["d"], "4": ["b of 4"]}) == {"1": ["a", "b"], "2": ["c"], "3": []}


def test_combined_pools_keep_their_order_and_each_phrase_once():
    combined = pools.combine(
        {
            "umls": {"1": ["b or c", "a", "b c"], "2": ["a"]},
            "wikipedia": {"1": ["diseases", "a", "e"], "2": ["Diseases", "diseases "]},
        },
        ["2", "1", "3"],
    )
    assert combined == {"1": ["b c", "a", "e"], "2": ["a", "Diseases"], "3": []}
    assert list(combined) == ["1", "2", "3"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_icd10cm_knows_titles_inclusion_terms_and_ancestors():
    pool = pools.icd10cm_pool(["E11.21", "E11.9", "0DTJ4ZZ", "R50.9"])
    assert set(pool) == {"E11.21", "E11.9", "R50.9"}
    assert pool["R50.9"][:2] == ["Fever unspecified", "Fever NOS"]
    assert "Type 2 diabetes mellitus with diabetic nephropathy" in pool["E11.21"]
    assert "Type 2 diabetes mellitus with Kimmelstiel Wilson disease" in pool["E11.21"]
    assert "Type 2 diabetes mellitus with kidney complications" in pool["E11.21"]  # its own ancestor
    assert not any("Type 2 diabetes mellitus" in phrases for phrases in pool.values())  # the ancestor of both
    # A code that is itself another's ancestor keeps its own title.
    assert "Type 2 diabetes mellitus" in pools.icd10cm_pool(["E11", "E11.9"])["E11"]


def test_a_draw_keeps_the_order_and_knows_nothing_of_other_codes():
    many = [f"phrase {i}" for i in range(300)]
    drawn = pools.draw({"1": many, "2": many, "3": many[:200]}, 200, seed=10)
    assert len(drawn["1"]) == len(set(drawn["1"])) == 200
    assert drawn["1"] == sorted(drawn["1"], key=many.index)
    assert drawn["1"] != drawn["2"]
    assert drawn["3"] == many[:200]
    assert pools.draw({"2": many}, 200, seed=10)["2"] == drawn["2"]
    assert pools.draw({"2": many}, 200, seed=11)["2"] != drawn["2"]


def test_statistics():
    gathered = {"umls": {"1": ["a", "b", "c", "d"], "9": ["x"]}, "titles": {"1": ["t"], "2": ["t"]}}
    assert pools.pool_statistics(gathered, {"1": ["a", "b", "c", "d", "t"], "2": ["t"], "3": []}) == {
        "umls": {"codes_covered": 1, "phrases": 4, "share_with_4": pytest.approx(1 / 3)},
        "titles": {"codes_covered": 2, "phrases": 2, "share_with_4": 0},
        "all": {"codes_covered": 2, "phrases": 6, "share_with_4": pytest.approx(1 / 3)},
    }


@pytest.mark.parametrize(
    "phrase,expected",
    [
        ("Heart failure, unspecified", "Heart failure unspecified"),
        ("[x]depressive disorder", "[x] depressive disorder"),
        ("fluid or electrolyte and acid-base", "fluid electrolyte acid base"),
        ("or stenosis and", "or stenosis and"),  # only with a space on either side
        ("organ and organ system", "organ organ system"),
        ("diabetes (mellitus) [DM]", "diabetes (mellitus) [DM]"),
        ("  two   spaces\tand a tab ", "two spaces and a tab"),
        ("Menière's", "Meni re s"),
        ("--;--", ""),
        ("salt and or and water", "salt and water"),  # one pass for each word, as the authors' program makes
    ],
)
def test_normalise(phrase, expected):
    assert normalise(phrase) == expected


def test_long_phrases_are_left_out_by_their_length_as_given():
    assert normalise_all(["a" * 511, "b" * 512, " " + "c" * 511 + " ", "d." * 256]) == ["a" * 511, "c" * 511]
