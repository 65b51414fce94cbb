"""``loopwatch silence``: alerts that nobody is told of for a while."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
import typer

from ...schemas.durations import parse_duration
from ...schemas.errors import LoopwatchError
from ...schemas.notifications import Silence
from ..model_windows import utc
from ..options import Author, named, settings_with
from ..tabular import Format, print_report

_LONGEST = timedelta(days=400)


def silence(
    matchers: Annotated[
        list[str] | None,
        typer.Argument(help="""Which alerts, all of: 'model="fraud"' 'alertname=~"Drift.*"'; also != and !~."""),
    ] = None,
    for_: Annotated[str, typer.Option("--for", help="How long, as in 30m, 2h, 7d.")] = "2h",
    begin: Annotated[datetime | None, typer.Option("--from", help="From when on (UTC); now unless you say.")] = None,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why.")] = "",
    author: Author = "",
    end: Annotated[
        str, typer.Option("--end", metavar="ID", help="End this silence now: its id, or how it begins.")
    ] = "",
    format_: Annotated[Format, typer.Option("--format", "-f", help="How the list is printed.")] = Format.TABLE,
) -> None:
    """Tell nobody of some alerts for a while; without matchers, print the silences that hold or will.

    Alerts go on meanwhile, and are shown. What still fires when the silence ends is told then.
    """
    from ...infra.clickhouse import ClickHouse
    from ...schemas.matchers import parse_matcher
    from ...stream_processors.alerts.store import read_silences, store_silence
    from .. import alerts_view as view
    from ..inserting import inserter_of

    settings = settings_with()
    clickhouse = ClickHouse(settings)
    now = datetime.now(UTC)
    if end:
        found = [each for each in read_silences(clickhouse, now) if each.silence_id.startswith(end)]
        if len(found) != 1:
            raise LoopwatchError(f"--end {end}: {len(found) or 'no'} silences begin so; `loopwatch silence` lists them")
        ended = msgspec.structs.replace(found[0], begins_at=min(found[0].begins_at, now), ends_at=now)
        store_silence(inserter_of(settings, clickhouse), ended, now)
        typer.echo(f"ended: {found[0].silence_id}")
        return
    if not matchers:
        print_report(view.silences_report(read_silences(clickhouse, now)), format_)
        return
    if not reason:
        raise LoopwatchError("say why, by --reason: whoever is on call next will ask")
    try:
        said, lasting = tuple(parse_matcher(text) for text in matchers), parse_duration(for_)
    except ValueError as exc:
        raise LoopwatchError(str(exc)) from exc
    if not timedelta() < lasting <= _LONGEST:
        raise LoopwatchError(f"--for {for_}: a silence lasts from more than 0s to 400d")
    begins = utc(begin) or now
    made = Silence(uuid.uuid4().hex, said, named(author), reason, begins, begins + lasting)
    store_silence(inserter_of(settings, clickhouse), made, now)
    typer.echo(f"{made.silence_id}: until {made.ends_at:%Y-%m-%d %H:%M} UTC")
