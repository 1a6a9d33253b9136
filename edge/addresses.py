"""Which addresses count as one caller."""

import ipaddress


def network_of(address: str) -> str:
    """What an address counts as, in CIDR: itself in IPv4, and in IPv6 the 64 bits below which a household has all.

    An IPv4 address written as IPv6 counts as itself.

    Raises:
        ValueError: it is no address.
    """
    known = ipaddress.ip_address(address)
    if isinstance(known, ipaddress.IPv4Address):
        return f"{known}/32"
    if known.ipv4_mapped is not None:
        return f"{known.ipv4_mapped}/32"
    return str(ipaddress.ip_network((int(known), 64), strict=False))
