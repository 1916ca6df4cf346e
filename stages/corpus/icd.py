"""ICD codes: what they look like, how they are spelled, and the fifty of MIMIC-III-50.

The one place where a code is read, whatever table, pool or split it comes from.
"""

import re
from dataclasses import dataclass

from stages.corpus.document import Kind, Revision

# The fixed list of Mullenbach et al. (2018).
# fmt: off
MIMIC_50 = (
    "401.9", "38.93", "428.0", "427.31", "414.01", "96.04", "96.6", "584.9", "250.00", "96.71", "272.4", "518.81",
    "99.04", "39.61", "599.0", "530.81", "96.72", "272.0", "285.9", "88.56", "244.9", "486", "38.91", "285.1",
    "36.15", "276.2", "496", "99.15", "995.92", "V58.61", "507.0", "038.9", "88.72", "585.9", "403.90", "311",
    "305.1", "37.22", "412", "33.24", "39.95", "287.5", "410.71", "276.1", "V45.81", "424.0", "45.13", "V15.82",
    "511.9", "37.23",
)
# fmt: on

# In lower case; MIMIC-IV writes NoDx.
MISSING = {"", "nan", "null", "none", "na", "n/a", "#n/a", "<na>", "nat", "nodx", "\\n", "-", "--", "?", "."}
# A digit and the length of a code, and neither a date nor a long number: no word of a text.
QUOTABLE = re.compile(r"(?=\D*\d)(?!\d{1,4}[-.]\d{1,2}[-.]\d{1,4}$)(?!\d{6,}$)[A-Za-z0-9.+\-]{1,12}", re.ASCII)
ANY = re.compile(r"(?=\D*\d)[A-Z0-9][A-Z0-9.\-]{0,11}", re.ASCII)  # a code of whatever list, without knowing which
NUMBER = re.compile(r"\d+\.\d*(e\+?\d+)?|\d+e\+?\d+", re.IGNORECASE | re.ASCII)


class NotACode(ValueError):
    """A string that no ICD code can be. The message says what such a code looks like, and never quotes a long text."""


@dataclass(frozen=True)
class Form:
    """What the codes of one revision and kind look like without their dot."""

    name: str
    pattern: re.Pattern[str]
    shortest: int  # shorter ones are let pass, as MIMIC's own program does, and warned of
    looks: str


FORMS: dict[tuple[Revision, Kind], Form] = {
    (9, "diagnosis"): Form(
        "ICD-9-CM diagnosis",
        re.compile(r"\d{1,5}|[VE]\d{0,4}", re.ASCII),
        3,
        "three digits, V and two, or E and three, then up to two more (E: one): 401.9, V58.61, E849.0",
    ),
    (9, "procedure"): Form(
        "ICD-9-CM procedure", re.compile(r"\d{1,4}", re.ASCII), 2, "two digits, then up to two more: 38.93, 96.6"
    ),
    (10, "diagnosis"): Form(
        "ICD-10-CM",
        re.compile(r"[A-Z]\d[0-9A-Z][0-9A-Z]{0,4}", re.ASCII),
        3,
        "a letter, a digit and a character, then up to four more: I10, S72.001A",
    ),
    (10, "procedure"): Form(
        "ICD-10-PCS",
        re.compile(r"[0-9A-HJ-NP-Z]{4}([0-9A-HJ-NP-Z]{3})?"),
        4,
        "seven digits and letters without a dot (of which four may stand for all): 02HV33Z",
    ),
}


def dotted(code: str, kind: Kind, revision: Revision = 9) -> str:
    """A code with its dot: in ICD-9-CM `4019` is the diagnosis `401.9` and the procedure `40.19`.

    A diagnosis takes its dot after the third character, an external cause of ICD-9-CM (E) after the fourth, a procedure
    of ICD-9-CM after the second, one of ICD-10-PCS none; there is none where nothing follows. A dot that is there
    already is set again (METHOD.md, sections 1.1 and 11).
    """
    code = code.replace(".", "")
    if kind == "procedure":
        category = 2 if revision == 9 else len(code)
    else:
        category = 4 if revision == 9 and code.startswith("E") else 3
    return f"{code[:category]}.{code[category:]}" if len(code) > category else code


def read(text: str, kind: Kind, revision: Revision = 9) -> str | None:
    """The code that `text` spells, upper-case and with its dot; None where it spells "missing".

    White space around it, small letters, a dot or none, a dot with nothing after it (`I10.`) and Excel's ways of
    saying "text" (`="0389"`, `'0389`) are all understood. Raises NotACode for what no code of this kind can be: other
    characters, or a misplaced dot, the usual trace of codes parsed as floats.
    """
    spelled = text.strip()
    if spelled.startswith('="') and spelled.endswith('"'):
        spelled = spelled[2:-1]
    spelled = spelled.strip("'\" ").upper()
    if is_missing(spelled):
        return None
    spelled = spelled.removesuffix(".")
    form = FORMS[revision, kind]
    code = dotted(spelled, kind, revision)
    if not form.pattern.fullmatch(code.replace(".", "")) or spelled not in (code, code.replace(".", "")):
        raise NotACode(_what_is_wrong(text.strip(), form))
    return code


def is_missing(text: str) -> bool:
    """Whether a cell of a table says that there is nothing."""
    return text.strip().lower() in MISSING


def read_any(text: str) -> str | None:
    """A code of a list that is not known here, upper-case, its dot as it stands; None where it spells "missing".

    Raises NotACode for what no code can be: a word, a date, other characters.
    """
    spelled = text.strip().strip("'\"").strip().upper()
    if is_missing(spelled):
        return None
    if not ANY.fullmatch(spelled) or not QUOTABLE.fullmatch(spelled) or re.fullmatch(r"\d{4,5}\.0", spelled):
        shown = f"{text.strip()!r} is" if QUOTABLE.fullmatch(text.strip()) else f"a text of {len(text)} characters is"
        raise NotACode(f"{shown} no code (capitals, digits, dots and hyphens, a digit among them; at most 12)")
    return spelled


def too_short(code: str, kind: Kind, revision: Revision = 9) -> bool:
    """Whether a code that was read is shorter than any real one: zeros at its beginning may be lost."""
    return len(compact(code)) < FORMS[revision, kind].shortest


def _what_is_wrong(text: str, form: Form) -> str:
    shown = f"{text!r} is" if QUOTABLE.fullmatch(text) else f"a text of {len(text)} characters is"
    why = f"{shown} no {form.name} code ({form.looks})"
    if NUMBER.fullmatch(text):
        why += "; it went through a column of numbers, but codes are text, in which zeros count: export it as text"
    return why


def compact(code: str) -> str:
    """A code without its dot, in capitals: what all its spellings have in common."""
    return code.strip().replace(".", "").upper()
