"""Network addresses of callers."""

import ipaddress


def network_of(address: str) -> str:
    """The network in CIDR notation by which a caller is counted.

    An IPv4 address is its own network, also where it is written as IPv6. Of an IPv6 address it is the first 64 bits: a
    household has all addresses below them.

    Raises:
        ValueError: the text is not an address.
    """
    known = ipaddress.ip_address(address)
    if isinstance(known, ipaddress.IPv4Address):
        return f"{known}/32"
    if known.ipv4_mapped is not None:
        return f"{known.ipv4_mapped}/32"
    return str(ipaddress.ip_network((int(known), 64), strict=False))
