"""Statements, inserts, errors and headers, as curl sends and sees them."""

import json
from urllib.parse import urlencode

import pytest

from .server import Server, count, curl


def test_curl_asks_and_inserts(server: Server, table: str):
    assert curl(f"{server.url}/ping") == curl(server.url) == curl(f"{server.url}/replicas_status") == "Ok.\n"
    assert "200" in curl("-I", f"{server.url}/ping").splitlines()[0]
    assert curl(server.url, "-d", "SELECT 1 AS one, 'x' AS s FORMAT JSONEachRow") == '{"one":1,"s":"x"}\n'
    assert (
        curl("-G", server.url, "--data-urlencode", "query=SELECT {v:String}", "--data-urlencode", "param_v=a b")
        == "a b\n"
    )
    assert curl(f"{server.url}/?default_format=JSONCompactEachRow", "-d", "SELECT 1") == "[1]\n"
    assert curl(server.url, "-H", "X-ClickHouse-Format: CSV", "-d", "SELECT 'a'") == '"a"\n'
    insert = urlencode({"query": f"INSERT INTO {table} (a, s) FORMAT CSV"})
    assert curl(f"{server.url}/?{insert}", "--data-binary", "@-", stdin=b"1,x\n") == ""
    curl(f"{server.url}/?{insert}", "-H", "Transfer-Encoding: chunked", "--data-binary", "@-", stdin=b"2,y\n3,z\n")
    large = b"".join(b"%d,s\n" % i for i in range(4, 300_000))  # curl asks with Expect: 100-continue
    curl(f"{server.url}/?{insert}", "--data-binary", "@-", stdin=large)
    assert curl(server.url, "-d", f"SELECT count(), max(a) FROM {table}") == "299999\t299999\n"


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELEC 1", 400, 62),
        ("exit", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("SELECT nope -- { serverError 47 }", 404, 47),
        ("SELECT * FROM nope", 404, 60),
        ("SELECT * FROM nope.t", 404, 81),
        ("SELECT 1 FORMAT Nope", 404, 73),
        ("SELECT throwIf(1)", 500, 395),
        ("INSERT INTO nope FORMAT CSV\n1", 404, 60),
    ],
)
def test_an_error_has_clickhouses_status_code_and_body(server: Server, sql: str, status: int, code: int):
    head, _, body = curl("-i", server.url, "--data-binary", sql).partition("\r\n\r\n")
    assert head.splitlines()[0].split()[1] == str(status)
    assert f"X-ClickHouse-Exception-Code: {code}" in head
    assert body.startswith(f"Code: {code}. DB::Exception: ")
    assert "(version 26." in body


def test_a_response_carries_clickhouses_headers(server: Server):
    response = server.request(query="SELECT number FROM numbers(10) FORMAT JSON", query_id="my-id", method="GET")
    assert response.headers["X-ClickHouse-Query-Id"] == "my-id"
    assert response.headers["X-ClickHouse-Format"] == "JSON"
    assert response.headers["X-ClickHouse-Timezone"]
    assert response.headers["X-ClickHouse-Server-Display-Name"]
    assert response.headers["Content-Type"].startswith("application/json")
    assert json.loads(response.headers["X-ClickHouse-Summary"])["read_rows"] == "10"
    assert "\r" not in server.request(query="SELECT 1", query_id="a\r\nX-Evil: 1").headers["X-ClickHouse-Query-Id"]


def test_get_reads_only(server: Server, table: str):
    for sql in (f"INSERT INTO {table} (a) VALUES (1)", f"DROP TABLE {table}", f"INSERT INTO {table} (a) SELECT 1"):
        response = server.request("GET", query=sql)
        assert (response.status, response.headers["X-ClickHouse-Exception-Code"]) == (500, "164")
    assert count(server, table) == 0


def test_a_query_in_the_url_goes_before_the_body(server: Server, table: str):
    assert server.request(body=b"UNION ALL SELECT 2 ORDER BY 1", query="SELECT 1 AS x").data == b"1\n2\n"
    assert server.request(body=b"(1, 'a'), (2, 'b;')", query=f"INSERT INTO {table} (a, s) VALUES").status == 200
    assert server.request(query=f"INSERT INTO {table} (a, s) VALUES ({{a:Int64}}, 'c')", param_a="3").status == 200
    assert server.request(query=f"SELECT a, s FROM {table} ORDER BY a FORMAT CSV").data == b'1,"a"\n2,"b;"\n3,"c"\n'
