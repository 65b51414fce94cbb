"""`alerting:` of ``loopwatch.yaml`` to an `Alerting`: rules, those by default among them, receivers and routes."""

import ipaddress
import re
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec

from .alerting import (
    Alerting,
    Format,
    Inhibition,
    Matcher,
    Receiver,
    Route,
    Secret,
)
from .config_reader import Reader, join, shown
from .default_alerting import DEFAULT_ALERTING, DEFAULT_INHIBITIONS
from .matchers import parse_matcher
from .rule_config import RuleReader

MAX_RECEIVERS = 100
MAX_ROUTES = 200
MAX_MATCHERS = 20

_KEYS = ("rules", "receivers", "route", "inhibit", "default_inhibitions", "heartbeat")
_RECEIVER_KEYS = (
    "url", "url_env", "url_file", "secret_env", "secret_file", "secrets", "routing_key_env", "routing_key_file",
    "format", "timeout", "give_up_after", "concurrency", "per_minute", "networks", "send_resolved", "send_values",
)  # fmt: skip
_ROUTE_KEYS = (
    "receiver", "match", "group_by", "group_wait", "group_interval", "repeat_interval", "continue", "routes",
)  # fmt: skip
_PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
_SECRET_LOOKING = re.compile(r"whsec_|hooks[.]slack[.]com/services/.+")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_ZERO, _SECOND, _YEAR = timedelta(), timedelta(seconds=1), timedelta(days=400)


def read_alerting(document: object, problems: list[tuple[str, str]]) -> Alerting:
    """What `alerting:` means; mistakes are added to `problems`."""
    return _AlertingReader(problems).alerting("alerting", document)


class _AlertingReader(Reader):
    def alerting(self, path: str, value: object) -> Alerting:
        members = self.mapping(
            path, value, ("rules", "receivers", "route", "inhibit", "default_inhibitions", "heartbeat")
        )
        receivers = tuple(
            self._receiver(join(join(path, "receivers"), name), name, entry)
            for name, entry in self.few(join(path, "receivers"), members.get("receivers"), MAX_RECEIVERS).items()
        )
        names = tuple(receiver.name for receiver in receivers)
        route = members.get("route")
        heartbeat_path = join(path, "heartbeat")
        heartbeat = self.mapping(heartbeat_path, members.get("heartbeat"), ("to", "every"))
        usual = DEFAULT_ALERTING
        by_default = self.flag(path, members, "default_inhibitions", usual=True)
        return Alerting(
            rules=RuleReader(self.problems).rules(join(path, "rules"), members.get("rules")),
            receivers=receivers,
            route=None if route is None else self._route(join(path, "route"), route, names, None),
            inhibitions=(
                *(DEFAULT_INHIBITIONS if by_default else ()),
                *self._inhibitions(join(path, "inhibit"), members.get("inhibit")),
            ),
            heartbeat_to=self._one_of(heartbeat_path, heartbeat, "to", names),
            heartbeat_every=self.duration(
                heartbeat_path, heartbeat, "every", usual.heartbeat_every, 10 * _SECOND, timedelta(days=1)
            ),
        )

    def _receiver(self, path: str, name: str, value: object) -> Receiver:
        members = self.mapping(path, value, _RECEIVER_KEYS)
        usual = Receiver(name=name)
        format_ = self.choice(path, members, "format", usual.format)
        is_pagerduty = format_ is Format.PAGERDUTY
        url = self.text(path, members, "url", 2000)
        url_secret = self._secret(path, members, "url")
        keys = tuple(
            secret
            for secret in (self._secret(path, members, "secret"), self._secret(path, members, "routing_key"))
            if secret is not None
        ) + self._secrets(join(path, "secrets"), members.get("secrets"))
        if is_pagerduty and not url and url_secret is None:
            url = _PAGERDUTY
        if bool(url) == (url_secret is not None):
            self.wrong(path, "say where to send, by one of url, url_env, url_file")
        elif url:
            self._check_url(join(path, "url"), url)
        if is_pagerduty and not keys:
            self.wrong(path, "PagerDuty takes a routing key: say where it is, by routing_key_env or routing_key_file")
        return Receiver(
            name=name,
            format=format_,
            url=url,
            url_secret=url_secret,
            secrets=keys,
            timeout=self.duration(path, members, "timeout", usual.timeout, _SECOND, timedelta(seconds=60)),
            give_up_after=self.duration(
                path, members, "give_up_after", usual.give_up_after, timedelta(minutes=1), timedelta(days=30)
            ),
            concurrency=self.whole(path, members, "concurrency", usual.concurrency, 1, 100),
            per_minute=self.whole(path, members, "per_minute", usual.per_minute, 1, 100_000),
            networks=self._networks(path, members),
            send_resolved=self.flag(path, members, "send_resolved", usual.send_resolved),
            send_values=self.flag(path, members, "send_values", usual.send_values),
        )

    def _secret(self, path: str, members: dict[str, object], key: str) -> Secret | None:
        env, file = (self.text(path, members, f"{key}_{each}", 1000) for each in ("env", "file"))
        if env and file:
            self.wrong(path, f"say where it is, by one of {key}_env, {key}_file")
        return Secret(env=env, file=file) if env or file else None

    def _secrets(self, path: str, value: object) -> tuple[Secret, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self.wrong(path, "is no list: write [{env: NEW_SECRET}, {env: OLD_SECRET}]")
            return ()
        secrets: list[Secret] = []
        for position, entry in enumerate(value):
            where = f"{path}[{position}]"
            members = self.mapping(where, entry, ("env", "file"))
            env, file = self.text(where, members, "env", 1000), self.text(where, members, "file", 1000)
            if bool(env) == bool(file):
                self.wrong(where, "say where it is, by one of env, file")
            secrets.append(Secret(env=env, file=file))
        return tuple(secrets)

    def _check_url(self, path: str, url: str) -> None:
        try:
            parts = urlsplit(url)
            is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_url, parts = False, urlsplit("")
        if not is_url:
            self.wrong(path, "is no address: write https://host/path")
        elif parts.username or parts.password or _SECRET_LOOKING.search(url):
            self.wrong(
                path, "holds a secret: put the whole address into an environment variable, and name it by url_env"
            )

    def _networks(self, path: str, members: dict[str, object]) -> tuple[Network, ...]:
        networks: list[Network] = []
        for position, text in enumerate(self.texts(path, members, "networks", 100)):
            try:
                networks.append(ipaddress.ip_network(text))
            except ValueError:
                self.wrong(f"{join(path, 'networks')}[{position}]", f"{shown(text)} is no network: write 10.0.0.0/8")
        return tuple(networks)

    def _route(self, path: str, value: object, receivers: tuple[str, ...], above: Route | None) -> Route:
        members = self.mapping(path, value, _ROUTE_KEYS)
        usual = above or Route(receiver="")
        receiver = self._one_of(path, members, "receiver", receivers) or usual.receiver
        if not receiver and members.get("receiver") is None:
            self.wrong(path, "say who is told: `receiver:` one of `receivers`")
        matchers = self._matchers(join(path, "match"), members.get("match"))
        if above is None and matchers:
            self.wrong(join(path, "match"), "the first route takes every alert: put conditions into its `routes`")
        group_by = self.texts(path, members, "group_by", 20) if "group_by" in members else usual.group_by
        longest = timedelta(days=30)
        route = Route(
            receiver=receiver,
            matchers=matchers,
            group_by=group_by,
            group_wait=self.duration(path, members, "group_wait", usual.group_wait, _ZERO, timedelta(hours=1)),
            group_interval=self.duration(path, members, "group_interval", usual.group_interval, _SECOND, longest),
            repeat_interval=self.duration(path, members, "repeat_interval", usual.repeat_interval, _SECOND, longest),
            goes_on=self.flag(path, members, "continue", usual=False),
        )
        if route.repeat_interval < route.group_interval:
            self.wrong(
                join(path, "repeat_interval"), "is shorter than group_interval: a group is told as often as that"
            )
        children = members.get("routes")
        if children is not None and not isinstance(children, list):
            self.wrong(join(path, "routes"), "is no list of routes")
            children = None
        if len(children or ()) > MAX_ROUTES:
            self.wrong(join(path, "routes"), f"{len(children or ())} routes, at most {MAX_ROUTES} are taken")
        below = enumerate((children or [])[:MAX_ROUTES])
        routes = tuple(self._route(f"{join(path, 'routes')}[{n}]", child, receivers, route) for n, child in below)
        return msgspec.structs.replace(route, routes=routes)

    def _inhibitions(self, path: str, value: object) -> tuple[Inhibition, ...]:
        if value is not None and not isinstance(value, list):
            self.wrong(path, "is no list of inhibitions")
            return ()
        read: list[Inhibition] = []
        for position, entry in enumerate(value or ()):
            where = f"{path}[{position}]"
            members = self.mapping(where, entry, ("by", "what", "equal", "lasting"))
            by, what = (self._matchers(join(where, key), members.get(key)) for key in ("by", "what"))
            if not by or not what:
                self.wrong(where, """say what inhibits what: {by: ['alertname="A"'], what: ['alertname="B"']}""")
            equal = self.texts(where, members, "equal", 20)
            lasting = self.duration(where, members, "lasting", _ZERO, _ZERO, timedelta(days=7))
            read.append(Inhibition(by, what, equal, lasting))
        return tuple(read)

    def _matchers(self, path: str, value: object) -> tuple[Matcher, ...]:
        if value is None:
            return ()
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list):
            self.wrong(path, f"""{shown(value)} is no list of conditions: write ['model="fraud"']""")
            return ()
        matchers: list[Matcher] = []
        for position, text in enumerate(listed[:MAX_MATCHERS]):
            try:
                matchers.append(parse_matcher(str(text)))
            except ValueError as exc:
                self.wrong(f"{path}[{position}]", str(exc))
        return tuple(matchers)

    def _one_of(self, path: str, members: dict[str, object], key: str, names: tuple[str, ...]) -> str:
        name = self.name(path, members, key)
        if name and name not in names:
            self.wrong(
                join(path, key), f"{shown(name)} is none of `receivers` ({', '.join(names) or 'there are none'})"
            )
            return ""
        return name
