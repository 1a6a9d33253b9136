"""The addresses and keys of a stack."""

from stack.parts import base_url, jwks_url
from stack.project import Double, Project
from stack.state import Folder


def addresses(project: Project, folder: Folder) -> dict[str, str]:
    """What clients and programs need of a stack, by the names that `status` prints."""
    state, keys, run = folder.state(), folder.keys(), folder.run()
    listed = {
        part.address_name: base_url(state.port + part.port_offset)
        for part in project.extra_parts()
        if part.is_listed and (not isinstance(part, Double) or (run is not None and part.name in run.parts))
    }
    return {
        "API_URL": base_url(state.ports.api),
        "DB_URL": state.database_url("postgres"),
        "PUBLISHABLE_KEY": keys.publishable,
        "SECRET_KEY": keys.secret,
        "ANON_KEY": keys.anon,
        "SERVICE_ROLE_KEY": keys.service_role,
        "JWKS_URL": jwks_url(state.ports.api),
        "MAIL_URL": base_url(state.ports.mail),
        **listed,
    }


def table(project: Project, folder: Folder) -> str:
    """The same, one a line."""
    return "\n".join(f"  {name:<16} {value}" for name, value in addresses(project, folder).items())
