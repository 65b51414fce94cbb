"""One object for equal values that come again and again: versions, segments, variants."""

from msgspec import Struct

_LIMIT = 50_000


class Interner(Struct):
    """Bounded: once full it starts anew, and a value is then held twice at worst."""

    texts: dict[str, str] = {}
    maps: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    def text(self, text: str) -> str:
        """The one object for this text."""
        if not text:
            return ""
        if len(self.texts) >= _LIMIT:
            self.texts = {}
        return self.texts.setdefault(text, text)

    def map(self, value: dict[str, str] | None) -> dict[str, str] | None:
        """The one object for this mapping; callers don't change it."""
        if not value:
            return None
        if len(self.maps) >= _LIMIT:
            self.maps = {}
        return self.maps.setdefault(tuple(value.items()), value)
