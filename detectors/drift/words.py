"""Texts as counts: how long each is, and which words it has. No word is kept that only few people wrote."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
from msgspec import Struct

from .column import Column
from .text import Texts

MOST_CHARACTERS = 5_000
"""Words are taken from as many of a text; its length is of all."""
LEAST_WRITERS = 20
"""Texts, and people where it is known whose they are, that have a word before it counts."""
_LONGEST_WORD = 40
# Of scripts that put no space between words each character is one.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")


class Text(Struct, frozen=True):
    """The beginning of a text, how many characters all of it has, and whose it is (`writer`, empty: of anyone)."""

    beginning: str
    characters: int
    writer: str = ""


def words_of(text: str) -> set[str]:
    """The words of the first 5,000 characters, whatever their case.

    Those with digits are left out: mostly they are numbers of orders and accounts, and names of users.

    >>> sorted(words_of("Où est MON colis? Order 4711, mon colis"))
    ['colis', 'est', 'mon', 'order', 'où']
    """
    plain = unicodedata.normalize("NFKC", text[:MOST_CHARACTERS]).casefold()
    return {word for word in _WORD.findall(plain) if len(word) <= _LONGEST_WORD and word.isalpha()}


def texts_of(reference: Sequence[Text | None], current: Sequence[Text | None]) -> tuple[Texts, Texts]:
    """Both sides for `compare_texts`; None is a row without a text.

    Words count that at least 20 of all texts have, of at least 20 writers: what is shown then is nobody's own. Which
    ones those are depends on both sides alike, so it makes no difference of them.
    """
    sides = [[(text, words_of(text.beginning)) for text in side if text is not None] for side in (reference, current)]
    writers: defaultdict[str, set[str | int]] = defaultdict(set)
    for number, (text, words) in enumerate(chain(*sides)):
        for word in words:
            writers[word].add(text.writer or number)
    common = {word for word, of in writers.items() if len(of) >= LEAST_WRITERS}
    counts = [_counted((words for _, words in side), common) for side in sides]
    lengths = [
        Column.of_numbers(np.array([np.nan if text is None else text.characters for text in side], np.float64))
        for side in (reference, current)
    ]
    return Texts(lengths[0], counts[0]), Texts(lengths[1], counts[1])


def _counted(texts: Iterable[set[str]], common: set[str]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for words in texts:
        for word in words & common:
            counts[word] = counts.get(word, 0) + 1
    return counts
