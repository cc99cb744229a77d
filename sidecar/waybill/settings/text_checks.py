"""Checks of texts by themselves: URLs that no client takes, and what a shell would fill in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from urllib.parse import urlsplit

from waybill.settings.addresses import is_address
from waybill.settings.catalogue import catalogue
from waybill.settings.check import Check
from waybill.settings.convert import show
from waybill.settings.path_checks import value_at
from waybill.settings.problems import Problem
from waybill.settings.schema import Settings

#: A home folder or a variable of a shell, a place of a template. Lists are not looked at: they may
#: hold expressions, which have their own ``$``.
_OF_SHELLS = re.compile(r"~\w{0,32}(?:/|$)|.*\$(?:\{\w+|[A-Z_]{2,}\b)|.*\{\{", re.DOTALL)


#: Without scheme, port and path; or an address of IPv6.
_HOST_NAME = re.compile(r"[\w.-]+|\[?[0-9a-fA-F:.]+\]?")


def text_checks() -> Iterator[Check]:
    """The checks of texts, most of them for each setting that is one or a list of them."""
    yield Check(("workbench.trusted_proxies",), check_proxies)
    yield Check(("workbench.hosts",), check_hosts)
    for path, setting in catalogue().items():
        if setting.form == "text":
            yield Check((path,), _check_filled_in(path))
        if setting.form == "text" or setting.item_shape:
            yield Check((path,), _check_urls(path))


def check_proxies(settings: Settings) -> Iterator[Problem]:
    """Proxies are addresses or networks."""
    for text in settings.workbench.trusted_proxies:
        try:
            ip_network(text, strict=False)
        except ValueError:
            told = f"{show(text)} is not an address or a network; for example 10.0.0.0/8"
            yield Problem("workbench.trusted_proxies", told)


def check_hosts(settings: Settings) -> Iterator[Problem]:
    """Host names are no URLs and have no port."""
    for text in settings.workbench.hosts:
        if not _HOST_NAME.fullmatch(text):
            told = f"{show(text)} is not a host name; for example waybill.example.com"
            yield Problem("workbench.hosts", told)


def _check_filled_in(path: str) -> Callable[[Settings], Iterator[Problem]]:
    def check(settings: Settings) -> Iterator[Problem]:
        text = value_at(settings, path)
        if isinstance(text, str) and _OF_SHELLS.match(text):
            told = "is taken as it stands: write out what a shell or template would fill in"
            yield Problem(path, f"{show(text)} {told}")

    return check


def _check_urls(path: str) -> Callable[[Settings], Iterator[Problem]]:
    def check(settings: Settings) -> Iterator[Problem]:
        value = value_at(settings, path)
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and is_address(text) and not _is_usable(text):
                told = f"{show(text)} is no URL to ask; expected http://host:port/path"
                yield Problem(path, told)

    return check


def _is_usable(url: str) -> bool:
    """Whether a client can ask ``url``: it has a host, and a port from 1 to 65535 if any."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return bool(parts.hostname) and port != 0 and not re.search(r"[\s,\\]", parts.netloc)
