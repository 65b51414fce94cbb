"""What the embedded ClickHouse makes of SQL without an engine: statements, their data, and the reader's allowlist."""

import pytest
from loopwatch.infra.embedded_clickhouse import reader
from loopwatch.infra.embedded_clickhouse.errors import QueryError, from_engine
from loopwatch.infra.embedded_clickhouse.reader_names import Catalog
from loopwatch.infra.embedded_clickhouse.statements import Statement, parse
from loopwatch.infra.embedded_clickhouse.tokens import tokens

FORMATS = {"arrowstream", "csv", "jsoneachrow", "native", "values"}
# The engine's own lists are not needed for these to be refused.
CATALOG = Catalog.load(lambda query: [])


def parsed(sql: str | bytes, *, whole: bool = True) -> Statement:
    return parse(sql.encode() if isinstance(sql, str) else sql, FORMATS, whole=whole)


def data_of(sql: bytes) -> bytes:
    return sql[parsed(sql).data_offset :]


# --- tokens ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "texts"),
    [
        ("SELECT -- it's\n1", ["SELECT", "1"]),
        ("SELECT # it's\n1", ["SELECT", "1"]),
        ("SELECT /* a /* nested */ ; */ 1", ["SELECT", "1"]),
        (r"'it\'s' 'it''s' '\\'", [r"'it\'s'", "'it''s'", r"'\\'"]),
        ("'-- no comment' '/*'", ["'-- no comment'", "'/*'"]),
        ('`a b` "c""d" `e``f`', ["a b", 'c"d', "e`f"]),
        ("$tag$ ' ; -- $tag$ x", ["$tag$ ' ; -- $tag$", "x"]),
        ("x'41' b'01' ax'z'", ["x'41'", "b'01'", "ax", "'z'"]),
    ],
)
def test_the_lexer_reads_comments_strings_and_names_as_clickhouse_does(sql: str, texts: list[str]):
    assert [token.text for token in tokens(sql) if token.kind != "comment"] == texts


@pytest.mark.parametrize(
    "sql", ["'open", "`open", '"open', "/* open", "/* /* half */", "a \\G", "x'4_'", "“q”", "a\0b", "$t$ open"]
)
def test_what_could_be_read_in_two_ways_is_a_syntax_error(sql: str):
    with pytest.raises(QueryError) as caught:
        list(tokens(sql.encode().decode("latin-1")))
    assert (caught.value.code, caught.value.status) == (62, 400)


# --- statements and their data --------------------------------------------------------------------------------------


def test_an_inserts_data_begin_behind_the_newline_after_its_format():
    sql = b"INSERT INTO t (a, `b;`) FORMAT CSV\n1,'x;'\n"
    statement = parsed(sql)
    assert statement.sql() == b"INSERT INTO t (a, `b;`)"
    assert statement.data_format == "CSV"
    assert sql[statement.data_offset :] == b"1,'x;'\n"


@pytest.mark.parametrize(
    ("sql", "data"),
    [
        (b"INSERT INTO t VALUES (1,'a;'),(2,'b')", b" (1,'a;'),(2,'b')"),
        (b"insert into t(a) values\n(1)", b"\n(1)"),
        (b"INSERT INTO values VALUES (1)", b" (1)"),
        (b'INSERT INTO t FORMAT JSONEachRow {"a":1}', b'{"a":1}'),
        (b"INSERT INTO t FORMAT JSONEachRow\r\n\n{}", b"\n{}"),
        (b"INSERT INTO t FORMAT Native\n\x00\xff;'`\"/*", b"\x00\xff;'`\"/*"),
        (b"INSERT INTO t /* FORMAT CSV */ FORMAT\nCSV\n--1", b"--1"),
        (b"INSERT INTO t FORMAT CSV SETTINGS a = 1, b='x'\n1", b"1"),
    ],
)
def test_data_are_found_and_never_scanned(sql: bytes, data: bytes):
    assert data_of(sql) == data


def test_settings_between_format_and_data_are_kept():
    assert parsed(b"INSERT INTO t FORMAT CSV SETTINGS a = -1.5, b='x\\'y'\n1").settings == {"a": "-1.5", "b": "x'y"}


@pytest.mark.parametrize(
    ("sql", "from_file"),
    [
        (b"INSERT INTO t VALUES (1,'a;')", b"INSERT INTO t  FROM INFILE 'f' FORMAT Values"),
        (b"INSERT INTO t (a /* ; */) FORMAT CSV\n1", b"INSERT INTO t (a  )  FROM INFILE 'f' FORMAT CSV"),
        (
            b"INSERT INTO settings (settings) SETTINGS a = 1 FORMAT CSV\n1",
            b"INSERT INTO settings (settings)  FROM INFILE 'f' SETTINGS a = 1 FORMAT CSV",
        ),
    ],
)
def test_an_inserts_data_are_read_from_a_file(sql: bytes, from_file: bytes):
    assert parsed(sql).insert_from("f") == from_file


def test_input_is_found_in_the_select_that_feeds_an_insert():
    sql = (
        b"INSERT INTO t (a) SELECT a FROM input('a Int8') WHERE throwIf((SELECT max(e) FROM f) != 1, 'fenced') = 0 "
        b"FORMAT ArrowStream\n\xff\xff"
    )
    statement = parsed(sql)
    assert statement.data_format == "ArrowStream"
    assert sql[statement.data_offset :] == b"\xff\xff"
    assert statement.input_call is not None
    assert statement.insert_from("f") == (
        b"INSERT INTO t (a) SELECT a FROM file('f', 'ArrowStream', 'a Int8') "
        b"WHERE throwIf((SELECT max(e) FROM f) != 1, 'fenced') = 0"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t SELECT 1",
        "INSERT INTO t SELECT a AS format FROM u",
        "INSERT INTO t SELECT a FROM u FORMAT Null",
        "INSERT INTO t FROM INFILE 'x.csv' FORMAT CSV",
        "INSERT INTO t SELECT a FROM (SELECT 1 AS format)",
    ],
)
def test_inserts_without_data_of_their_own_take_none(sql: str):
    assert parsed(sql).data_format is None


def test_input_without_data_is_an_error_and_not_an_empty_insert():
    with pytest.raises(QueryError, match="input"):
        parsed("INSERT INTO t SELECT a FROM input('a Int8')")


@pytest.mark.parametrize("sql", ["", "  \n", "-- nothing", ";", "SELECT 1; SELECT 2", "SELECT 1;;DROP TABLE t"])
def test_a_request_holds_exactly_one_statement(sql: str):
    with pytest.raises(QueryError) as caught:
        parsed(sql)
    assert caught.value.code == 62


def test_comments_never_reach_the_engine_so_its_test_hints_do_nothing():
    assert parsed("SELECT nope -- { serverError 47 }").sql() == b"SELECT nope"
    assert parsed("SELECT '-- { x }', 1 ;; ").sql() == b"SELECT '-- { x }', 1"


def test_a_statement_longer_than_the_limit_is_refused():
    with pytest.raises(QueryError, match="Max query size"):
        parsed("SELECT 1", whole=False)


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("SELECT 1 format CSV SETTINGS a=1", "CSV"),
        ("SELECT f(1) FROM (SELECT 2)", None),
    ],
)
def test_the_output_format_is_the_statements_own(sql: str, name: str | None):
    assert parsed(sql).output_format == name


# --- the reader -----------------------------------------------------------------------------------------------------

ALLOWED = [
    "SELECT 1",
    "select a, count() from t where b = 'INTO OUTFILE' group by a;",
    "WITH x AS (SELECT 1 AS a) SELECT a FROM x",
    "WITH 1 AS one SELECT one -- into outfile 'x'",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "SHOW TABLES FROM loopwatch",
    "SHOW CREATE TABLE t",
    "SHOW SETTINGS LIKE 'max%'",
    "DESCRIBE TABLE t",
    "DESC t",
    "EXISTS TABLE t",
    "EXPLAIN SELECT 1",
    "EXPLAIN PLAN indexes = 1, actions = 0 SELECT 1",
    "EXPLAIN QUERY TREE SELECT 1",
    "SELECT format('{} {}', a, b), file, url, `remote` FROM t",
    "SELECT * FROM numbers(10), zeros(3)",
    "SELECT * FROM generate_series(1, 3) JOIN values('a Int8', 1) AS v ON 1",
    'SELECT `into`, "outfile" FROM t',
    "SELECT * FROM system.tables",
    "SELECT quantilesTDigestIf(0.5)(x, x > 0) FROM t SETTINGS max_execution_time = 5",
    "SELECT {a:String}, {b:Array(UInt8)} FORMAT JSONEachRow",
    "SELECT toStartOfHour(ts) FROM t WHERE ts > now() - INTERVAL 1 DAY ORDER BY 1 LIMIT 5 FORMAT JSON",
]

FORBIDDEN = [
    # writing and controlling
    "INSERT INTO t VALUES (1)",
    "INSERT INTO t FORMAT CSV\n1",
    "INSERT INTO t SELECT 1",
    "INSERT INTO FUNCTION file('x.csv') SELECT 1",
    "CREATE TABLE t (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE t (a Int8)",
    "DROP TABLE t",
    "TRUNCATE TABLE t",
    "ALTER TABLE t DELETE WHERE 1",
    "DELETE FROM t WHERE 1",
    "RENAME TABLE t TO u",
    "OPTIMIZE TABLE t",
    "ATTACH TABLE t",
    "DETACH TABLE t",
    "GRANT ALL ON *.* TO default",
    "SYSTEM FLUSH LOGS",
    "KILL QUERY WHERE 1",
    "SET max_threads = 1",
    "USE system",
    "BACKUP TABLE t TO File('x')",
    "exit",
    "FROM t SELECT 1",
    "/* SELECT 1 */ DROP TABLE t",
    "SELECT 1; DROP TABLE t",
    "SELECT 1 PARALLEL WITH DROP TABLE t",
    "EXPLAIN AST DROP TABLE t",
    "EXPLAIN INSERT INTO t VALUES (1)",
    "EXPLAIN TABLE OVERRIDE mysql('h:1', 'd', 't', 'u', 'p') PARTITION BY 1",
    # files
    "SELECT 1 INTO OUTFILE 'x'",
    "SELECT 1 into /* */ outfile 'x' TRUNCATE FORMAT CSV",
    "SHOW TABLES INTO OUTFILE 'x'",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM FILE('/etc/passwd')",
    "SELECT * FROM `file`('/etc/passwd')",
    "SELECT * FROM \"file\"('/etc/passwd')",
    "SELECT * FROM file /* */ ('/etc/passwd')",
    "SELECT * FROM file\n--\n('/etc/passwd')",
    "SELECT * FROM /* /* */ -- */ file('/etc/passwd')",
    "SELECT file('/etc/passwd')",
    "SELECT a IN (SELECT * FROM file('x')) FROM t",
    "WITH x AS (SELECT * FROM file('x')) SELECT * FROM x",
    "SELECT * FROM view(SELECT * FROM file('x'))",
    "SELECT * FROM numbers(1) UNION ALL SELECT * FROM file('x')",
    "SELECT * FROM t, file('x')",
    "SELECT * FROM t JOIN file('x') USING a",
    "SELECT * APPLY file FROM (SELECT '/etc/passwd' AS p)",
    "SELECT * APPLY(file) FROM (SELECT '/etc/passwd' AS p)",
    "SELECT file SETTINGS max_execution_time = 1 ('/etc/passwd')",
    "DESCRIBE file('x')",
    "DESCRIBE TABLE url('http://x')",
    "SELECT * FROM format(JSONEachRow, '{}')",
    "SELECT * FROM fileCluster('c', 'x')",
    "SELECT * FROM filesystem('/')",
    "SELECT * FROM sqlite('x.db', 't')",
    "SELECT * FROM input('a Int8')",
    "SELECT * FROM executable('x.sh', CSV, 'a Int8')",
    "SELECT * FROM python(x)",
    "SELECT * FROM Python(x)",
    # network and other servers
    "SELECT * FROM url('http://127.0.0.1/')",
    "SELECT * FROM urlCluster('c', 'http://x')",
    "SELECT * FROM s3('http://x/y')",
    "SELECT * FROM s3Cluster('c', 'http://x/y')",
    "SELECT * FROM gcs('http://x/y')",
    "SELECT * FROM hdfs('hdfs://x')",
    "SELECT * FROM azureBlobStorage('x')",
    "SELECT * FROM deltaLake('x')",
    "SELECT * FROM iceberg('x')",
    "SELECT * FROM hudi('x')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM remoteSecure('127.0.0.1', system.one)",
    "SELECT * FROM cluster('c', system.one)",
    "SELECT * FROM clusterAllReplicas('c', system.one)",
    "SELECT * FROM mysql('h:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('h:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM mongodb('h:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM redis('h:1', 'k', 'k String')",
    "SELECT * FROM jdbc('x', 'y')",
    "SELECT * FROM odbc('x', 'y')",
    "SELECT * FROM merge('system', '.*')",
    "SELECT * FROM dictionary('d')",
    "SELECT * FROM loop(system.one)",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT hasColumnInTable('system', 'users', 'name')",
    # the server itself
    "SELECT sleep(3)",
    "SELECT sleepEachRow(3) FROM numbers(100)",
    "SELECT * FROM system.users",
    "SELECT * FROM `system`.`processes`",
    'SELECT * FROM system . "query_log"',
    "SELECT * FROM system.{t:Identifier}",
    "SELECT * FROM {bad:Identifier}",
    "SELECT * FROM {path:Identifier}",
    "SELECT * FROM {absent:Identifier}",
    # limits
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT 1 SETTINGS max_execution_time = 100000",
    "SELECT 1 SETTINGS max_result_rows = 0, max_result_bytes = 1",
    "SELECT 1 SETTINGS max_memory_usage = 99999999999999",
    "SELECT 1 SETTINGS `max_threads` = 1000",
    "SELECT 1 SETTINGS output_format_schema = '/tmp/x'",
    "SELECT 1 SETTINGS format_schema = '/tmp/x:y'",
    "SELECT 1 SETTINGS additional_result_filter = '1'",
    "SELECT * FROM (SELECT 1 SETTINGS max_threads = 2)",
]
PARAMS = {"bad": "system.users", "path": "/etc/passwd", "t": "users"}


def as_reader(sql: str, database: str = "") -> bytes:
    """What the engine would get; raises when the reader is refused."""
    statement = parsed(sql)
    settings, edits = reader.check(statement, PARAMS, database, CATALOG)
    assert reader.session_settings(settings)["readonly"] == "1"
    return statement.sql(*edits)


@pytest.mark.parametrize("sql", ALLOWED)
def test_a_reader_may(sql: str):
    as_reader(sql)


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_a_reader_may_not(sql: str):
    with pytest.raises(QueryError) as caught:
        as_reader(sql)
    assert caught.value.code in (62, 164, 497)


def test_a_reader_may_not_make_system_its_database():
    with pytest.raises(QueryError):
        as_reader("SELECT * FROM processes", database="system")


def test_a_readers_own_settings_go_to_the_session_and_only_lower_limits():
    settings, edits = reader.check(parsed("SELECT 1 SETTINGS max_execution_time=3 FORMAT CSV"), {}, "", CATALOG)
    assert parsed("SELECT 1 SETTINGS max_execution_time=3 FORMAT CSV").sql(*edits) == b"SELECT 1   FORMAT CSV"
    assert reader.session_settings(settings)["max_execution_time"] == "3"
    assert reader.session_settings({})["max_execution_time"] == str(reader.LIMITS["max_execution_time"])


def test_the_engines_own_list_of_functions_is_refused_with_its_aliases():
    answers = {
        "table_functions": ["brandNewSource", "numbers"],
        "categories": ["aiThing"],
        "alias_to": ["AIThing\taiThing"],
    }
    catalog = Catalog.load(lambda query: next(rows for key, rows in answers.items() if key in query))
    assert {"brandnewsource", "aithing", "file"} <= catalog.refused
    assert "numbers" not in catalog.refused


def test_an_engines_error_is_told_once():
    twice = "Code: 33. DB::Exception: Code: 33. DB::Exception: Cannot read. (CANNOT_READ_ALL_DATA) (version 26.9.2.1). "
    error = from_engine(twice + "(CANNOT_READ_ALL_DATA)")
    assert (error.code, error.name, error.text) == (33, "CANNOT_READ_ALL_DATA", "Cannot read.")
    assert error.body("26.9") == (
        b"Code: 33. DB::Exception: Cannot read. (CANNOT_READ_ALL_DATA) (version 26.9 (embedded))\n"
    )
