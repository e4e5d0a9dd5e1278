"""Which proxy, if any, a connection goes through: a pure decision from the URL, the option and the environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from .errors import OptionError


@dataclass(frozen=True)
class ProxyAddress:
    """An HTTP proxy."""

    host: str
    port: int
    credentials: tuple[str, str] | None = field(default=None, repr=False)


def choose_proxy(
    secure: bool, host: str, port: int, setting: bool | str | None, env: Mapping[str, str]
) -> ProxyAddress | None:
    """Return the HTTP proxy for a server, or None to connect directly.

    `setting` is the option `proxy`: True takes the environment's, a string is the proxy itself, False or None is none.
    """
    if setting is False or setting is None or is_loopback(host):
        return None
    if isinstance(setting, str):
        return parse_proxy(setting, "proxy")
    for name in ("HTTPS_PROXY" if secure else "HTTP_PROXY", "ALL_PROXY"):
        value = env.get(name.lower()) or env.get(name)
        if value:
            if bypasses_proxy(host, port, env.get("no_proxy") or env.get("NO_PROXY") or ""):
                return None
            return parse_proxy(value, name)
    return None


def parse_proxy(value: str, name: str) -> ProxyAddress:
    """Take the URL of a proxy apart."""
    wrong = f"{name} must be the URL of an HTTP proxy, such as http://proxy.example:3128"
    # host:port without a scheme is an HTTP proxy for every program that reads these variables.
    text = value.strip()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise OptionError(wrong) from None
    if parts.scheme != "http":
        raise OptionError(f"{wrong}: the scheme {parts.scheme!r} is not supported")
    if not host:
        raise OptionError(wrong)
    credentials = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
    return ProxyAddress(host, port or 80, credentials)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or address alone."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address is not None and address.is_loopback


def bypasses_proxy(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY names a host: `*`, a name (its subdomains too), an address or a CIDR, with a port or without."""
    name = host.rstrip(".").lower()
    address = _address(name)
    for item in no_proxy.replace(",", " ").split():
        entry = item.lower()
        if entry == "*":
            return True
        if address is not None and "/" in entry:
            try:
                if address in ipaddress.ip_network(entry, strict=False):
                    return True
            except ValueError:
                pass
            continue
        entry, entry_port = _split_port(entry)
        if entry_port is not None and entry_port != port:
            continue
        if address is not None:
            if _address(entry) == address:
                return True
            continue
        entry = entry.removeprefix("*").strip(".")
        if entry and (name == entry or name.endswith(f".{entry}")):
            return True
    return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _split_port(entry: str) -> tuple[str, int | None]:
    if _address(entry) is not None:
        return entry, None
    host, colon, port = entry.rpartition(":")
    return (host, int(port)) if colon and port.isdecimal() else (entry, None)
