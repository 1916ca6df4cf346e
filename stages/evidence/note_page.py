"""Coded notes as one page that stands alone: the note on one side, its codes on the other, and what made each code.

Choosing a code lights up its words. The strength is shown by colour (blue, which all eyes tell from white) and by a
thicker line under the word, so that it can be read without colour; the first code is lit without JavaScript.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVELS = 4

STYLE = """
:root { color-scheme: light dark;
        --ink: #1b1b1b; --paper: #fff; --quiet: #5a6068; --line: #d9dde2; --lit: 0, 114, 178; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --paper: #16181b; --quiet: #a8adb3; --line: #33383f; --lit: 86, 180, 233; }
}
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); background: var(--paper);
       margin: 0 auto; max-width: 76rem; padding: 1rem 1.2rem 3rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; overflow-wrap: anywhere; }
.note { display: grid; grid-template-columns: minmax(0, 3fr) minmax(16rem, 2fr); gap: 1.6rem; align-items: start; }
.text { border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1.1rem; overflow-wrap: anywhere; }
.codes { list-style: none; margin: 0; padding: 0; position: sticky; top: .6rem; }
.codes button { all: unset; box-sizing: border-box; display: block; width: 100%; padding: .45rem .6rem;
                border-radius: 8px; cursor: pointer;
                border: 1px solid transparent; }
.codes button:focus-visible { outline: 2px solid rgb(var(--lit)); }
.codes button[aria-pressed="true"] { border-color: rgb(var(--lit)); background: rgba(var(--lit), .10); }
.bar { height: .4rem; border-radius: 3px; background: var(--line); margin: .25rem 0; }
.bar span { display: block; height: 100%; border-radius: 3px; background: rgb(var(--lit)); }
.quiet { color: var(--quiet); font-size: .86rem; }
.left-out .bar span { opacity: .45; }
.w { border-bottom: 0 solid rgb(var(--lit)); border-radius: 3px; }
.l1 { background: rgba(var(--lit), .14); border-bottom-width: 1px; }
.l2 { background: rgba(var(--lit), .28); border-bottom-width: 2px; }
.l3 { background: rgba(var(--lit), .42); border-bottom-width: 3px; }
.l4 { background: rgba(var(--lit), .58); border-bottom-width: 4px; }
@media (max-width: 46rem) { .note { grid-template-columns: minmax(0, 1fr); } .codes { position: static; } }
"""

SCRIPT = """
for (const note of document.querySelectorAll('.note')) {
  const words = note.querySelectorAll('.w');
  for (const button of note.querySelectorAll('button')) button.addEventListener('click', () => {
    for (const other of note.querySelectorAll('button')) other.setAttribute('aria-pressed', other === button);
    for (const word of words) {
      const found = word.dataset.l.split(' ').find(pair => pair.startsWith(button.dataset.c + ':'));
      word.className = 'w' + (found ? ' l' + found.split(':')[1] : '');
    }
  });
}
"""


@dataclass(frozen=True)
class Coded:
    """One code of a note. `evidence` (W,) has the scores of the note's words, None where none were asked for."""

    code: str
    title: str
    kind: str
    probability: float
    calibrated: float
    assigned: bool
    snippets: tuple[str, ...]
    evidence: np.ndarray | None


@dataclass(frozen=True)
class CodedNote:
    """A note with its codes, the most probable first; `spans` (W, 2) are the words' characters in `text`."""

    name: str
    text: str
    spans: np.ndarray
    codes: tuple[Coded, ...]
    n_tokens: int
    n_read: int


def page(notes: Sequence[CodedNote], about: str) -> str:
    """The page. Everything that came from a note, a title or a file's name is escaped."""
    body = "\n".join(map(_note, notes))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Coded notes</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>Coded notes</h1>\n"
        f'<p class="quiet">{html.escape(about)}</p>\n{body}\n<script>{SCRIPT}</script>\n</body>\n</html>\n'
    )


def _note(note: CodedNote) -> str:
    levels = {at: levels_of(one.evidence) for at, one in enumerate(note.codes) if one.evidence is not None}
    lit = next(iter(levels), None)
    cut = f" · read: the first {note.n_read} of {note.n_tokens} tokens" if note.n_read < note.n_tokens else ""
    codes = "\n".join(_code(at, one, pressed=at == lit) for at, one in enumerate(note.codes))
    return (
        f'<h2>{html.escape(note.name)}<span class="quiet">{cut}</span></h2>\n<div class="note">\n'
        f'<div class="text">{_text(note, levels, lit)}</div>\n<ol class="codes">\n{codes}\n</ol>\n</div>'
    )


def _code(at: int, one: Coded, pressed: bool) -> str:
    share = f"{100 * one.probability:.1f}"
    state = "assigned" if one.assigned else "not assigned"
    return (
        f'<li class="{"" if one.assigned else "left-out"}"><button type="button" data-c="{at}" '
        f'aria-pressed="{"true" if pressed else "false"}"><strong>{html.escape(one.code)}</strong> '
        f'{html.escape(one.title)}<div class="bar"><span style="width:{share}%"></span></div>'
        f'<span class="quiet">{share} % · calibrated {100 * one.calibrated:.1f} % · {html.escape(one.kind)} · {state}'
        "</span></button></li>"
    )


def _text(note: CodedNote, levels: dict[int, np.ndarray], lit: int | None) -> str:
    """The note with each word that is evidence of a code in a span that says of which, and how strong."""
    parts, end = [], 0
    for word, (first, last) in enumerate(note.spans):
        parts.append(html.escape(note.text[end:first]))
        own = {at: int(of_code[word]) for at, of_code in levels.items() if of_code[word]}
        shown = html.escape(note.text[first:last])
        if own:
            marks = " ".join(f"{at}:{level}" for at, level in own.items())
            now = f" l{own[lit]}" if lit in own else ""
            shown = f'<span class="w{now}" data-l="{marks}">{shown}</span>'
        parts.append(shown)
        end = int(last)
    return "".join([*parts, html.escape(note.text[end:])])


def levels_of(evidence: np.ndarray) -> np.ndarray:
    """The strength of each word (W,), 0 to 4, as a share of the strongest; what is below an eighth of it is 0."""
    highest = evidence.max(initial=0.0)
    if highest <= 0:
        return np.zeros(len(evidence), dtype=int)
    share = np.clip(evidence / highest, 0, 1)
    return np.where(share < 1 / 8, 0, np.ceil(share * LEVELS)).astype(int)
