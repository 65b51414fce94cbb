"""The embedded ClickHouse as its users meet it: clickhouse-connect, curl and bare sockets."""
