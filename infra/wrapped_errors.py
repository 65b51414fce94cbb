"""The few words in a library's error that say what went wrong."""

import re

# clickhouse-connect speaks through urllib3, confluent-kafka through librdkafka: each wraps the reason several times.
_REASON = re.compile(r'\[Errno -?\d+\] ([A-Za-z ]+)|\bKafkaError\{[^}]*str="([^"]*)"')
_LONGEST = 500


def reason_in(text: str) -> str:
    """What an error says in the end; the whole text in one line where nothing is recognized.

    >>> reason_in('KafkaError{code=_TRANSPORT,val=-195,str="Local: Broker transport failure"}')
    'Local: Broker transport failure'
    >>> reason_in('NewConnectionError("HTTPConnection(host=\\'h\\'): Failed: [Errno 111] Connection refused")')
    'Connection refused'
    """
    found = _REASON.search(text)
    said = (found[1] or found[2]) if found else " ".join(text.split())
    return said.strip()[:_LONGEST]
