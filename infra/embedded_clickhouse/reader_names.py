"""Names that a reader's statement may and may not use, in lower case; `Catalog` adds what the engine itself lists."""

from collections.abc import Callable
from dataclasses import dataclass


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TABLE_FUNCTIONS = _names("numbers numbers_mt zeros zeros_mt values generateseries generate_series null view")
"""Table functions that make rows from nothing but their arguments."""

SYSTEM_TABLES = _names("""
    aggregate_function_combinators asynchronous_metrics build_options collations columns contributors data_type_families
    databases documentation events formats functions keywords licenses merges metrics mutations numbers numbers_mt one
    parts parts_columns settings table_engines table_functions tables time_zones zeros zeros_mt
""")
"""Tables of `system` that clients and dashboards look at, and that tell nothing about other people's queries."""

# These stand even if system.table_functions were empty.
_TABLE_FUNCTIONS_KNOWN = _names("""
    azureblobstorage azureblobstoragecluster bigquery cluster clusterallreplicas cosn deltalake dictionary eval
    executable file filecluster filesystem fuzzjson fuzzquery gcs hdfs hdfscluster hudi iceberg icebergcluster input
    jdbc loop merge mergetreeindex mongodb mysql odbc oss paimon postgresql prometheusquery python redis remote
    remotesecure s3 s3cluster sqlite url urlcluster viewexplain viewifpermitted ytsaurus
""")
_FUNCTIONS_REFUSED = _names("""
    catboostevaluate file filesystemavailable filesystemcapacity filesystemunreserved getclienthttpheader getmacro
    getserverport hascolumnintable hasthreadfuzzer icebergtruncate joinget joingetornull modelevaluate readfromfile
    reversednsquery serveruuid showcertificate sleep sleepeachrow structuretocapnprotoschema structuretoprotobufschema
    tcpport transactionid zookeepersessionuptime
""")
_CATEGORIES_REFUSED = ("AI", "Introspection", "Internal")
_INTERNAL_BUT_HARMLESS = {"nested", "_cast"}


@dataclass(frozen=True, slots=True)
class Catalog:
    """Lower-case names of the functions, table functions among them, that a reader may not call."""

    refused: frozenset[str]

    @classmethod
    def load(cls, column: Callable[[str], list[str]]) -> "Catalog":
        """Read the engine's lists; `column` answers a query that has one column."""
        tables = {name.lower() for name in column("SELECT name FROM system.table_functions")} - TABLE_FUNCTIONS
        tables.discard("format")  # an everyday scalar function too: refused as a table, see reader._check_calls
        categories = ", ".join(f"'{name}'" for name in _CATEGORIES_REFUSED)
        functions = {
            name.lower() for name in column(f"SELECT name FROM system.functions WHERE categories IN ({categories})")
        }
        refused = _TABLE_FUNCTIONS_KNOWN | _FUNCTIONS_REFUSED | tables | (functions - _INTERNAL_BUT_HARMLESS)
        aliases = {
            alias.lower()
            for alias, target in (
                line.split("\t") for line in column("SELECT name, alias_to FROM system.functions WHERE alias_to != ''")
            )
            if target.lower() in refused
        }
        return cls(frozenset(refused | aliases))
