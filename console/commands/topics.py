"""``loopwatch topics``: what is on Kafka, and making what is missing."""

import typer

from ...infra.settings import Settings
from ..tabular import print_table

app = typer.Typer(no_args_is_help=True, help="List or create the Kafka topics.")


@app.command("list")
def list_topics() -> None:
    """Show each topic with its partitions and replicas. Ends with 1 when one is missing."""
    from ...infra.kafka_admin import present_topics

    settings = Settings.load()
    present = present_topics(settings)
    rows = [
        (name, topic.partitions, topic.replication_factor, topic.topic_id) if (topic := present.get(name)) else
        (name, None, None, "missing")
        for name in settings.topics.all
    ]  # fmt: skip
    print_table(("topic", "partitions", "replicas", "id"), rows)
    if len(present) < len(rows):
        typer.echo("`loopwatch topics apply` creates what is missing.", err=True)
        raise typer.Exit(1)


@app.command()
def apply() -> None:
    """Create the topics that are missing. Doing it again changes nothing."""
    from ...infra.kafka_admin import apply_topics

    settings = Settings.load()
    created = apply_topics(settings)
    typer.echo(f"created {', '.join(created)}" if created else f"all {len(settings.topics.all)} topics are there")
