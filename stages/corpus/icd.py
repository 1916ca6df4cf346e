"""ICD codes: their form, their spellings, and the fifty of MIMIC-III-50.

Every code is read here, whatever table, pool or split it comes from.
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

# In lower case; NoDx is MIMIC-IV's.
MISSING = {"", "nan", "null", "none", "na", "n/a", "#n/a", "<na>", "nat", "nodx", "\\n", "-", "--", "?", "."}
# Contains a digit, no longer than a code, neither a date nor a long number: cannot be a word of a note.
QUOTABLE = re.compile(r"(?=\D*\d)(?!\d{1,4}[-.]\d{1,2}[-.]\d{1,4}$)(?!\d{6,}$)[A-Za-z0-9.+\-]{1,12}", re.ASCII)
ANY = re.compile(r"(?=\D*\d)[A-Z0-9][A-Z0-9.\-]{0,11}", re.ASCII)  # a code of any list
NUMBER = re.compile(r"\d+\.\d*(e\+?\d+)?|\d+e\+?\d+", re.IGNORECASE | re.ASCII)


class NotACode(ValueError):
    """A string that cannot be an ICD code. The message describes valid codes and never quotes a long text."""


@dataclass(frozen=True)
class Form:
    """The form of the codes of one revision and kind, without their dot."""

    name: str
    pattern: re.Pattern[str]
    shortest: int  # shorter ones are kept, as by MIMIC's own program, with a warning
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


def add_dot(code: str, kind: Kind, revision: Revision = 9) -> str:
    """A code with its dot: in ICD-9-CM `4019` is the diagnosis `401.9` and the procedure `40.19`.

    The dot follows the third character of a diagnosis, the fourth of an ICD-9-CM external cause (E) and the second of
    an ICD-9-CM procedure, unless nothing comes after it; ICD-10-PCS has none. An existing dot is replaced (METHOD.md,
    sections 1.1 and 11).
    """
    code = code.replace(".", "")
    if kind == "procedure":
        category = 2 if revision == 9 else len(code)
    else:
        category = 4 if revision == 9 and code.startswith("E") else 3
    return f"{code[:category]}.{code[category:]}" if len(code) > category else code


def read(text: str, kind: Kind, revision: Revision = 9) -> str | None:
    """The code that `text` spells, upper-case and with its dot; None if it spells "missing".

    Surrounding whitespace, lower case, a missing or trailing dot (`I10.`) and Excel's markers for text (`="0389"`,
    `'0389`) are accepted. Raises NotACode for other characters and for a misplaced dot, the usual trace of codes parsed
    as floats.
    """
    spelled = text.strip()
    if spelled.startswith('="') and spelled.endswith('"'):
        spelled = spelled[2:-1]
    spelled = spelled.strip("'\" ").upper()
    if is_missing(spelled):
        return None
    spelled = spelled.removesuffix(".")
    form = FORMS[revision, kind]
    code = add_dot(spelled, kind, revision)
    if not form.pattern.fullmatch(code.replace(".", "")) or spelled not in (code, code.replace(".", "")):
        raise NotACode(_what_is_wrong(text.strip(), form))
    return code


def is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING


def read_any(text: str) -> str | None:
    """An upper-case code of an unknown list, its dot unchanged; None if `text` spells "missing".

    Raises NotACode for anything that cannot be a code, such as a word or a date.
    """
    spelled = text.strip().strip("'\"").strip().upper()
    if is_missing(spelled):
        return None
    if not ANY.fullmatch(spelled) or not QUOTABLE.fullmatch(spelled) or re.fullmatch(r"\d{4,5}\.0", spelled):
        shown = f"{text.strip()!r} is" if QUOTABLE.fullmatch(text.strip()) else f"a text of {len(text)} characters is"
        raise NotACode(f"{shown} no code (capitals, digits, dots and hyphens, a digit among them; at most 12)")
    return spelled


def too_short(code: str, kind: Kind, revision: Revision = 9) -> bool:
    """Whether a code is shorter than any real one, which suggests lost leading zeros."""
    return len(compact(code)) < FORMS[revision, kind].shortest


def _what_is_wrong(text: str, form: Form) -> str:
    shown = f"{text!r} is" if QUOTABLE.fullmatch(text) else f"a text of {len(text)} characters is"
    why = f"{shown} no {form.name} code ({form.looks})"
    if NUMBER.fullmatch(text):
        why += "; it was stored as a number, but codes are text, and zeros matter: export it as text"
    return why


def compact(code: str) -> str:
    """A code in capitals without its dot, the same for all its spellings."""
    return code.strip().replace(".", "").upper()
