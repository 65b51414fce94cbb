"""What many predictions share, held once: the rules of their model, version, segments and variants."""

from msgspec import Struct

from .rules import ModelRules

_LIMIT = 50_000
_Key = tuple[ModelRules, str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]


class Common(Struct, eq=False):
    """Shared by entries of hot state; never changed."""

    rules: ModelRules
    version: str
    segments: dict[str, str] | None
    variants: dict[str, str] | None


class Commons:
    """One `Common` for each combination. Bounded: once full it starts anew, and holds a combination twice at worst."""

    def __init__(self) -> None:
        self._plain: dict[tuple[ModelRules, str], Common] = {}
        self._sliced: dict[_Key, Common] = {}

    def of(
        self, rules: ModelRules, version: str, segments: dict[str, str] | None, variants: dict[str, str] | None
    ) -> Common:
        """The one object for this combination."""
        if not segments and not variants:
            common = self._plain.get((rules, version))
            if common is None:
                if len(self._plain) >= _LIMIT:
                    self._plain.clear()
                common = self._plain[rules, version] = Common(rules, version, None, None)
            return common
        key = (rules, version, tuple((segments or {}).items()), tuple((variants or {}).items()))
        common = self._sliced.get(key)
        if common is None:
            if len(self._sliced) >= _LIMIT:
                self._sliced.clear()
            common = self._sliced[key] = Common(rules, version, segments or None, variants or None)
        return common
